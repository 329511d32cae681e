-- Sums quarters from all of their days. Cells without lines stay, as zeros.
INSERT INTO sales_quarterly
SELECT
    concat(toString(toYear(day)), '-Q', toString(toQuarter(day))) AS quarter,
    currency,
    channel,
    ship_to_country,
    sub_category,
    sum(lines),
    sum(quantity),
    sum(gross_amount),
    sum(returns),
    sum(orders) + uniqExactArray(web_orders),
    max(version)
FROM sales_daily FINAL
WHERE day IN %(days)s
GROUP BY quarter, currency, channel, ship_to_country, sub_category
