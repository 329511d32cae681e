-- What open order lines hold, by SKU and location. Services are promised, but move no stock.
SELECT i.sku, r.location_id, sum(r.quantity)::bigint AS quantity
FROM reservations r
JOIN order_items i USING (order_id, line_no)
WHERE NOT i.service
GROUP BY i.sku, r.location_id
