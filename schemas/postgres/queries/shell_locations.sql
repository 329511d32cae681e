-- The places that the catalogue knows.
SELECT location_id, name
FROM locations
WHERE version >= 0
ORDER BY location_id
