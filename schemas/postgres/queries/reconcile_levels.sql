-- Every level, with its version.
SELECT sku, location_id, on_hand, reserved, in_transit, version FROM inventory
