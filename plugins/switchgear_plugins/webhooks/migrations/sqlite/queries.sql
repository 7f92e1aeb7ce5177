-- name: happened
INSERT INTO webhooks_events (id, name, at_us, body) VALUES (:id, :name, :at_us, :body) ON CONFLICT (id) DO NOTHING;

-- name: deliver
INSERT INTO webhooks_deliveries (id, webhook, event, name, state, due_us, created_us, again_of)
VALUES (:id, :webhook, :event, :name, 'pending', :due_us, :created_us, :again_of);

-- name: waiting
SELECT DISTINCT webhook FROM webhooks_deliveries WHERE state = 'pending' AND due_us <= :now_us;

-- name: due
SELECT d.id, d.event, d.tries, e.body FROM webhooks_deliveries AS d JOIN webhooks_events AS e ON e.id = d.event
WHERE d.webhook = :webhook AND d.state = 'pending' AND d.due_us <= :now_us ORDER BY d.due_us, d.id LIMIT :most;

-- name: claim
UPDATE webhooks_deliveries SET due_us = :until_us WHERE id = :id AND state = 'pending' AND due_us <= :now_us;

-- name: tried
UPDATE webhooks_deliveries
SET state = :state, tries = tries + 1, due_us = :due_us, ended_us = :ended_us, status = :status, answer = :answer,
    error = :error, took_ms = :took_ms
WHERE id = :id AND state = 'pending';

-- name: orphaned
UPDATE webhooks_deliveries SET state = 'dead', ended_us = :now_us, error = :error WHERE webhook = :webhook AND state = 'pending';

-- name: delivery
SELECT d.id, d.webhook, d.event, d.name, d.state, d.tries, d.due_us, d.created_us, d.ended_us, d.status, d.answer, d.error,
    d.took_ms, d.again_of, e.body
FROM webhooks_deliveries AS d JOIN webhooks_events AS e ON e.id = d.event WHERE d.id = :id;

-- name: newest
SELECT id, webhook, event, name, state, tries, due_us, created_us, ended_us, status, answer, error, took_ms, again_of, NULL AS body
FROM webhooks_deliveries
WHERE (created_us, id) < (:before_us, :before) AND (:webhook = '' OR webhook = :webhook) AND (:state = '' OR state = :state)
ORDER BY created_us DESC, id DESC LIMIT :most;

-- name: position
SELECT revision FROM webhooks_position WHERE name = 'changes';

-- name: move
INSERT INTO webhooks_position (name, revision) VALUES ('changes', :revision)
ON CONFLICT (name) DO UPDATE SET revision = excluded.revision;

-- name: forget_deliveries
DELETE FROM webhooks_deliveries WHERE state <> 'pending' AND created_us < :before_us;

-- name: forget_events
DELETE FROM webhooks_events WHERE at_us < :before_us AND NOT EXISTS (
    SELECT 1 FROM webhooks_deliveries WHERE event = webhooks_events.id
);
