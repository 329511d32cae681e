-- Computes the days anew. A cell that has no line any more (its products moved to another
-- sub-category) is written with zeros, because nothing else would replace it.
INSERT INTO sales_daily
SELECT
    day, currency, channel, ship_to_country, sub_category,
    sum(lines_), sum(quantity_), sum(gross_), sum(returns_), sum(orders_), groupArrayArray(web_),
    greatest(
        toUInt64(toUnixTimestamp64Micro(now64(6))),
        1 + (SELECT max(version) FROM sales_daily WHERE day IN %(days)s)
    )
FROM (
    SELECT
        toDate32(s.occurred_at) AS day,
        s.currency AS currency,
        s.channel AS channel,
        s.ship_to_country AS ship_to_country,
        p.sub_category AS sub_category,
        count() AS lines_,
        sum(s.quantity) AS quantity_,
        sumIf(toDecimal128(s.amount, 4), s.quantity > 0) AS gross_,
        sumIf(toDecimal128(s.amount, 4), s.quantity < 0) AS returns_,
        uniqExactIf(s.order_id, s.quantity > 0 AND s.channel != 'web') AS orders_,
        groupUniqArrayIf(cityHash64(s.order_id), s.quantity > 0 AND s.channel = 'web') AS web_
    FROM fact_sales AS s FINAL
    LEFT ANY JOIN (SELECT sku, sub_category FROM dim_product FINAL) AS p ON p.sku = s.sku
    WHERE toDate32(s.occurred_at) IN %(days)s
    GROUP BY day, currency, channel, ship_to_country, sub_category
    UNION ALL
    SELECT day, currency, channel, ship_to_country, sub_category, 0, 0, 0, 0, 0, []
    FROM sales_daily FINAL
    WHERE day IN %(days)s AND lines > 0
)
GROUP BY day, currency, channel, ship_to_country, sub_category
