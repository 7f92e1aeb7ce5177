-- name: put
INSERT INTO outbox_notifier_notices (id, text, at_us) VALUES (:id, :text, :at_us)
ON CONFLICT (id) DO UPDATE SET text = excluded.text, at_us = excluded.at_us;

-- name: notices
SELECT id, text, at_us FROM outbox_notifier_notices ORDER BY id;

-- name: report
INSERT INTO outbox_notifier_events (id, body) VALUES (:id, :body);

-- name: next
SELECT number, id, body FROM outbox_notifier_events ORDER BY number LIMIT 1;

-- name: told
DELETE FROM outbox_notifier_events WHERE number = :number;
