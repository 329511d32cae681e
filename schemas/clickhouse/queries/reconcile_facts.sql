-- The movements summed up; their number is the level's version.
SELECT sku, location_id, sum(on_hand_delta), sum(reserved_delta), sum(in_transit_delta), count()
FROM stock_movements
GROUP BY sku, location_id
