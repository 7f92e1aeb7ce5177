CREATE TABLE outbox_notifier_notices (id TEXT PRIMARY KEY, text TEXT NOT NULL, at_us INTEGER NOT NULL) STRICT;

-- What is still to be told, in order. AUTOINCREMENT: a number is never given twice.
CREATE TABLE outbox_notifier_events (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, body TEXT NOT NULL) STRICT;
