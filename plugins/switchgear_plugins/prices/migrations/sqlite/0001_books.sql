-- Price books that were taken over; the newest counts.
CREATE TABLE prices_books (
  number INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  source TEXT NOT NULL,
  date TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;
