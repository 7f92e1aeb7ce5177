-- Price books that were taken over; the newest counts.
CREATE TABLE prices_books (
  number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at_us BIGINT NOT NULL,
  source TEXT NOT NULL,
  date TEXT NOT NULL,
  body BYTEA NOT NULL
);
