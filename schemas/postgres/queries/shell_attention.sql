-- What people should look at: a sentence a kind, where there is any.
SELECT sentence FROM (
    SELECT 1 AS rank, count(*) AS n, format(
        '%s moved without being in the catalogue, such as %s: ''inventory import products'' or correct the SKU.',
        count(*), min(sku)) AS sentence
    FROM (
        SELECT DISTINCT i.sku FROM inventory i JOIN products p USING (sku) WHERE p.version < 0
    ) unknown_products
    UNION ALL
    SELECT 2, count(*), format(
        '%s stand below zero, such as %s at %s: count them.',
        count(*), min(sku), min(location_id))
    FROM inventory WHERE on_hand < 0
    UNION ALL
    SELECT 3, count(*), format(
        '%s orders are paid and cannot be fulfilled, such as %s: give the money back or find the goods.',
        count(*), min(order_id))
    FROM orders WHERE status = 'paid_unfulfilled'
    UNION ALL
    SELECT 4, count(*), format(
        '%s records were refused: ''inventory dead-letters list''.', count(*))
    FROM dead_letters
) found
WHERE n > 0
ORDER BY rank
