-- Whether much is at stake in a migration, as an actuator saw its plan and its tables; NULL while none did.
ALTER TABLE recovery ADD COLUMN is_major boolean, ADD COLUMN major_why text;
