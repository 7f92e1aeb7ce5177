-- name: happened
INSERT INTO webhooks_events (id, name, at_us, body) VALUES (%(id)s, %(name)s, %(at_us)s, %(body)s) ON CONFLICT (id) DO NOTHING;

-- name: deliver
INSERT INTO webhooks_deliveries (id, webhook, event, name, state, due_us, created_us, again_of)
VALUES (%(id)s, %(webhook)s, %(event)s, %(name)s, 'pending', %(due_us)s, %(created_us)s, %(again_of)s);

-- name: waiting
SELECT DISTINCT webhook FROM webhooks_deliveries WHERE state = 'pending' AND due_us <= %(now_us)s;

-- name: due
SELECT d.id, d.event, d.tries, e.body FROM webhooks_deliveries AS d JOIN webhooks_events AS e ON e.id = d.event
WHERE d.webhook = %(webhook)s AND d.state = 'pending' AND d.due_us <= %(now_us)s ORDER BY d.due_us, d.id LIMIT %(most)s;

-- name: claim
UPDATE webhooks_deliveries SET due_us = %(until_us)s WHERE id = %(id)s AND state = 'pending' AND due_us <= %(now_us)s;

-- name: tried
UPDATE webhooks_deliveries
SET state = %(state)s, tries = tries + 1, due_us = %(due_us)s, ended_us = %(ended_us)s, status = %(status)s, answer = %(answer)s,
    error = %(error)s, took_ms = %(took_ms)s
WHERE id = %(id)s AND state = 'pending';

-- name: orphaned
UPDATE webhooks_deliveries SET state = 'dead', ended_us = %(now_us)s, error = %(error)s WHERE webhook = %(webhook)s AND state = 'pending';

-- name: delivery
SELECT d.id, d.webhook, d.event, d.name, d.state, d.tries, d.due_us, d.created_us, d.ended_us, d.status, d.answer, d.error,
    d.took_ms, d.again_of, e.body
FROM webhooks_deliveries AS d JOIN webhooks_events AS e ON e.id = d.event WHERE d.id = %(id)s;

-- name: newest
SELECT id, webhook, event, name, state, tries, due_us, created_us, ended_us, status, answer, error, took_ms, again_of, NULL AS body
FROM webhooks_deliveries
WHERE (created_us, id) < (%(before_us)s, %(before)s) AND (%(webhook)s = '' OR webhook = %(webhook)s) AND (%(state)s = '' OR state = %(state)s)
ORDER BY created_us DESC, id DESC LIMIT %(most)s;

-- name: position
SELECT revision FROM webhooks_position WHERE name = 'changes';

-- name: move
INSERT INTO webhooks_position (name, revision) VALUES ('changes', %(revision)s)
ON CONFLICT (name) DO UPDATE SET revision = excluded.revision;

-- name: forget_deliveries
DELETE FROM webhooks_deliveries WHERE state <> 'pending' AND created_us < %(before_us)s;

-- name: forget_events
DELETE FROM webhooks_events WHERE at_us < %(before_us)s AND NOT EXISTS (
    SELECT 1 FROM webhooks_deliveries WHERE event = webhooks_events.id
);
