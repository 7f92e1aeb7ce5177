CREATE TABLE tenancy_setup (digest TEXT PRIMARY KEY, made_us BIGINT NOT NULL);
