-- Every order that the order fold knows.
SELECT order_id, status, version FROM orders WHERE version >= 0
