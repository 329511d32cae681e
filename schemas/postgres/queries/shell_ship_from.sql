-- Where a web order's goods may come from, best stocked first. $1: SKUs of the order.
SELECT i.location_id
FROM inventory i
WHERE i.sku = ANY($1::text[])
GROUP BY i.location_id
ORDER BY sum(greatest(i.on_hand - i.reserved, 0)) DESC, i.location_id
LIMIT 50
