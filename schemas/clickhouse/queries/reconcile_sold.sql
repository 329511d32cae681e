-- All sales lines, by currency.
SELECT currency, count(), sum(quantity), sum(amount) FROM sales GROUP BY currency
