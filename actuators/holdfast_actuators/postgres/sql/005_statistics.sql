-- The planner's statistics hold samples of values, and outlive the rows: none of what protected tables held goes there.

ALTER TABLE {schema}.change ALTER COLUMN old SET STATISTICS 0, ALTER COLUMN new SET STATISTICS 0;
ALTER TABLE {schema}.conflict ALTER COLUMN key SET STATISTICS 0;
