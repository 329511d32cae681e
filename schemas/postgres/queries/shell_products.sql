-- What a till or a shop needs of these products. $1: SKUs. Placeholders tell nothing.
SELECT sku, name, price, currency, stocked
FROM products
WHERE sku = ANY($1::text[]) AND version >= 0
