-- On hand of a SKU at a place by the books of `at`, and how many movements of it are here at all.
SELECT
    (
        SELECT sum(on_hand)
        FROM stock_as_of(at = {at:DateTime64(3, 'UTC')}, known_by = {known_by:DateTime64(3, 'UTC')})
        WHERE sku = {sku:String} AND location_id = {place:String}
    ) AS on_hand,
    (
        SELECT sum(movements)
        FROM stock_as_of(at = {ever:DateTime64(3, 'UTC')}, known_by = {ever:DateTime64(3, 'UTC')})
        WHERE sku = {sku:String} AND location_id = {place:String}
    ) AS movements
