-- All sales lines, by currency.
SELECT e.currency, count(*) AS lines, sum(s.quantity)::bigint AS quantity, sum(s.amount) AS amount
FROM sales s
JOIN sale_events e USING (cause_topic, cause_partition, cause_offset)
GROUP BY e.currency
