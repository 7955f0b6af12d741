-- Since when an actuator has read what runners say, without a gap: silence is proven only while somebody listened.
CREATE TABLE listening (
    partition int PRIMARY KEY,
    since     timestamptz NOT NULL,
    at        timestamptz NOT NULL
);
