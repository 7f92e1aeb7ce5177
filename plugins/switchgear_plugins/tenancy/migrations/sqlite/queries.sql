-- name: offer_setup
INSERT INTO tenancy_setup (digest, made_us) VALUES (:digest, :made_us);
-- name: setup_offered
SELECT 1 AS offered FROM tenancy_setup WHERE digest = :digest AND made_us > :since_us;
-- name: take_setup
DELETE FROM tenancy_setup WHERE digest = :digest AND made_us > :since_us;
-- name: end_setup
DELETE FROM tenancy_setup;
