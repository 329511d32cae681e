-- The days whose sums change when these products move to another sub-category.
SELECT DISTINCT toDate32(occurred_at) FROM fact_sales WHERE sku IN %(skus)s
