-- What trade is about. Every version is the Kafka offset of the record a row was copied from;
-- -1 marks a placeholder: something referred to the key before its own record came.

CREATE TABLE categories (
    category_id uuid PRIMARY KEY,
    parent_id uuid REFERENCES categories,
    name text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (parent_id, name)
);
COMMENT ON TABLE categories IS 'Categories and, below them, sub-categories of products.';
COMMENT ON COLUMN categories.category_id IS 'Derived from the names, so a rebuild gives the same.';
COMMENT ON COLUMN categories.parent_id IS 'The category this one belongs to; NULL at the top.';
COMMENT ON COLUMN categories.name IS 'As people read it; unique below one parent.';

CREATE TABLE places (
    place_id uuid PRIMARY KEY,
    city text,
    state text,
    country text,
    market text,
    region text
);
CREATE INDEX places_country ON places (country);
COMMENT ON TABLE places IS 'Places of the world: one row a combination that something refers to.';
COMMENT ON COLUMN places.place_id IS 'Derived from the other columns, so a rebuild gives the same.';
COMMENT ON COLUMN places.city IS 'City or town.';
COMMENT ON COLUMN places.state IS 'State, province or county.';
COMMENT ON COLUMN places.country IS 'Country, as the source spells it.';
COMMENT ON COLUMN places.market IS 'Sales market, such as EMEA; the retailer''s own division.';
COMMENT ON COLUMN places.region IS 'Region within the market; names repeat between markets.';

CREATE TABLE suppliers (
    supplier_id text PRIMARY KEY,
    name text,
    country text,
    email text,
    lead_time_days bigint,
    version bigint NOT NULL DEFAULT -1,
    occurred_at timestamptz,
    recorded_at timestamptz
);
COMMENT ON TABLE suppliers IS 'Who delivers.';
COMMENT ON COLUMN suppliers.supplier_id IS 'The retailer''s identifier of the supplier.';
COMMENT ON COLUMN suppliers.name IS 'Name; NULL while only the identifier is known.';
COMMENT ON COLUMN suppliers.country IS 'Country the supplier delivers from.';
COMMENT ON COLUMN suppliers.email IS 'Where orders are sent to.';
COMMENT ON COLUMN suppliers.lead_time_days IS 'Days from order to delivery, as agreed.';
COMMENT ON COLUMN suppliers.version IS 'Offset on topic suppliers; -1 for a placeholder.';
COMMENT ON COLUMN suppliers.occurred_at IS 'When this was so decided.';
COMMENT ON COLUMN suppliers.recorded_at IS 'When Kafka recorded it.';

CREATE TABLE products (
    sku text PRIMARY KEY,
    name text,
    category_id uuid REFERENCES categories,
    price numeric(18, 4),
    currency text,
    size text,
    barcode text,
    stocked boolean NOT NULL DEFAULT true,
    safety_stock bigint NOT NULL DEFAULT 0,
    backorder_limit bigint NOT NULL DEFAULT 0,
    supplier_id text REFERENCES suppliers,
    retired boolean NOT NULL DEFAULT false,
    version bigint NOT NULL DEFAULT -1,
    occurred_at timestamptz,
    recorded_at timestamptz
);
CREATE INDEX products_category ON products (category_id);
CREATE INDEX products_supplier ON products (supplier_id);
CREATE INDEX products_barcode ON products (barcode) WHERE barcode IS NOT NULL;
COMMENT ON TABLE products IS 'What is sold: things in stock, and services.';
COMMENT ON COLUMN products.sku IS 'Stock keeping unit, in its one canonical spelling.';
COMMENT ON COLUMN products.name IS 'Name; NULL while only the SKU is known.';
COMMENT ON COLUMN products.category_id IS 'The most specific category it belongs to.';
COMMENT ON COLUMN products.price IS 'List price of one unit, in currency.';
COMMENT ON COLUMN products.currency IS 'ISO 4217 code of the price.';
COMMENT ON COLUMN products.size IS 'Size or pack, as people read it.';
COMMENT ON COLUMN products.barcode IS 'GTIN-8, -12, -13 or -14.';
COMMENT ON COLUMN products.stocked IS 'False for a service (postage, a fee): it moves no stock.';
COMMENT ON COLUMN products.safety_stock IS 'Units that each place keeps back from web orders.';
COMMENT ON COLUMN products.backorder_limit IS 'Units that web orders may wait for, all places together.';
COMMENT ON COLUMN products.supplier_id IS 'Who delivers it.';
COMMENT ON COLUMN products.retired IS 'No longer sold; its history stays.';
COMMENT ON COLUMN products.version IS 'Offset on topic products; -1 for a placeholder.';
COMMENT ON COLUMN products.occurred_at IS 'When this was so decided.';
COMMENT ON COLUMN products.recorded_at IS 'When Kafka recorded it.';

CREATE TABLE locations (
    location_id text PRIMARY KEY,
    name text,
    kind text,
    place_id uuid REFERENCES places,
    version bigint NOT NULL DEFAULT -1,
    occurred_at timestamptz,
    recorded_at timestamptz
);
CREATE INDEX locations_place ON locations (place_id);
COMMENT ON TABLE locations IS 'Where stock is held: stores and warehouses.';
COMMENT ON COLUMN locations.location_id IS 'The retailer''s identifier of the location.';
COMMENT ON COLUMN locations.name IS 'Name; NULL while only the identifier is known.';
COMMENT ON COLUMN locations.kind IS 'store or warehouse.';
COMMENT ON COLUMN locations.place_id IS 'Where in the world it stands.';
COMMENT ON COLUMN locations.version IS 'Offset on topic locations; -1 for a placeholder.';
COMMENT ON COLUMN locations.occurred_at IS 'When this was so decided.';
COMMENT ON COLUMN locations.recorded_at IS 'When Kafka recorded it.';

CREATE TABLE customers (
    customer_id text PRIMARY KEY,
    name text,
    segment text,
    email text,
    street text,
    postal_code text,
    place_id uuid REFERENCES places,
    version bigint NOT NULL DEFAULT -1,
    occurred_at timestamptz,
    recorded_at timestamptz
);
CREATE INDEX customers_place ON customers (place_id);
CREATE INDEX customers_segment ON customers (segment);
COMMENT ON TABLE customers IS 'Who buys: the only table with personal data. Deleting one empties the row but for its id.';
COMMENT ON COLUMN customers.customer_id IS 'The retailer''s identifier; all that other tables hold.';
COMMENT ON COLUMN customers.name IS 'Personal: full name.';
COMMENT ON COLUMN customers.segment IS 'Kind of customer, such as Consumer or Corporate.';
COMMENT ON COLUMN customers.email IS 'Personal: mail address.';
COMMENT ON COLUMN customers.street IS 'Personal: street and number.';
COMMENT ON COLUMN customers.postal_code IS 'Personal: postal code.';
COMMENT ON COLUMN customers.place_id IS 'City, state and country of the customer.';
COMMENT ON COLUMN customers.version IS 'Offset on topic customers; -1 for a placeholder.';
COMMENT ON COLUMN customers.occurred_at IS 'When this was so decided.';
COMMENT ON COLUMN customers.recorded_at IS 'When Kafka recorded it.';
