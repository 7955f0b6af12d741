-- What a person should know, owed to the webhook: written with the outcome that it tells, sent by a thread of its own.

CREATE TABLE notification (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text NOT NULL,                         -- the cause and its revision: the receiver drops repeats by it
    about      text NOT NULL,                         -- two that say the same have it in common
    body       jsonb NOT NULL,
    attempts   int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX notification_about ON notification (about);

CREATE TABLE notified (                               -- the cool-down: when something was last sent
    about   text PRIMARY KEY,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
