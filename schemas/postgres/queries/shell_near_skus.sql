-- SKUs and names that a mistyped SKU may have meant. $1: the SKU, upper case.
SELECT sku, name
FROM products
WHERE starts_with(sku, left($1::text, 2)) OR upper(name) LIKE '%' || $1::text || '%'
ORDER BY sku
LIMIT 200
