-- name: offer_setup
INSERT INTO tenancy_setup (digest, made_us) VALUES (%(digest)s, %(made_us)s);
-- name: setup_offered
SELECT 1 AS offered FROM tenancy_setup WHERE digest = %(digest)s AND made_us > %(since_us)s;
-- name: take_setup
DELETE FROM tenancy_setup WHERE digest = %(digest)s AND made_us > %(since_us)s;
-- name: end_setup
DELETE FROM tenancy_setup;
