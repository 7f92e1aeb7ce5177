-- Thresholds that were announced, so that each is once in a period.
CREATE TABLE budgets_crossings (
  budget TEXT NOT NULL,
  whose TEXT NOT NULL,
  begin_us BIGINT NOT NULL,
  percent BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  PRIMARY KEY (budget, whose, begin_us, percent)
);
