-- Orders from placement to return, and the facts of what was sold.

CREATE TABLE orders (
    order_id text PRIMARY KEY,
    channel text,
    currency text,
    location_id text REFERENCES locations,
    customer_id text REFERENCES customers,
    ship_to_place_id uuid REFERENCES places,
    priority text,
    ship_mode text,
    accept_partial boolean,
    placed_by text,
    placed_at timestamptz,
    known_at timestamptz,
    recorded_at timestamptz,
    status text,
    due_at timestamptz,
    changed_at timestamptz,
    version bigint NOT NULL DEFAULT -1,
    cause jsonb
);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX orders_location ON orders (location_id);
CREATE INDEX orders_ship_to ON orders (ship_to_place_id);
CREATE INDEX orders_placed_at ON orders (placed_at);
-- Nearly all orders of a long history are done; people look for the others.
CREATE INDEX orders_open ON orders (status, placed_at)
    WHERE status NOT IN ('done', 'delivered', 'cancelled', 'expired', 'refused');
COMMENT ON TABLE orders IS 'Orders: what was placed (from topic orders) and how it stands (from order-states).';
COMMENT ON COLUMN orders.order_id IS 'Chosen by whoever placed the order.';
COMMENT ON COLUMN orders.channel IS 'pos, web or import.';
COMMENT ON COLUMN orders.currency IS 'ISO 4217 code of all its amounts.';
COMMENT ON COLUMN orders.location_id IS 'The till''s location, or where an imported order left from.';
COMMENT ON COLUMN orders.customer_id IS 'Who bought, where known.';
COMMENT ON COLUMN orders.ship_to_place_id IS 'Where the goods go: no name and no street.';
COMMENT ON COLUMN orders.priority IS 'low, medium, high or critical.';
COMMENT ON COLUMN orders.ship_mode IS 'How it is shipped, as the source says.';
COMMENT ON COLUMN orders.accept_partial IS 'Ship what is there and drop refused lines.';
COMMENT ON COLUMN orders.placed_by IS 'The person or program that placed it.';
COMMENT ON COLUMN orders.placed_at IS 'When it was placed; NULL while the order itself has not come.';
COMMENT ON COLUMN orders.known_at IS 'When the source knew of it.';
COMMENT ON COLUMN orders.recorded_at IS 'When Kafka recorded it.';
COMMENT ON COLUMN orders.status IS 'As the order fold decided last; NULL while it has not.';
COMMENT ON COLUMN orders.due_at IS 'When time alone changes it next: an unpaid reservation ends, a closed order is reduced.';
COMMENT ON COLUMN orders.changed_at IS 'When the status was recorded.';
COMMENT ON COLUMN orders.version IS 'Of the fold''s state; -1 while it has not come.';
COMMENT ON COLUMN orders.cause IS 'Input topic: highest offset that the status includes.';

CREATE TABLE order_items (
    order_id text NOT NULL REFERENCES orders,
    line_no bigint NOT NULL,
    sku text NOT NULL REFERENCES products,
    quantity bigint NOT NULL,
    unit_price numeric(18, 4) NOT NULL,
    discount numeric(7, 6) NOT NULL,
    amount numeric(18, 4) NOT NULL,
    service boolean NOT NULL,
    PRIMARY KEY (order_id, line_no)
);
CREATE INDEX order_items_sku ON order_items (sku);
COMMENT ON TABLE order_items IS 'The lines of an order as they were agreed.';
COMMENT ON COLUMN order_items.order_id IS 'The order.';
COMMENT ON COLUMN order_items.line_no IS 'Number of the line in its order.';
COMMENT ON COLUMN order_items.sku IS 'What was ordered.';
COMMENT ON COLUMN order_items.quantity IS 'Units ordered.';
COMMENT ON COLUMN order_items.unit_price IS 'Price of one unit before discount.';
COMMENT ON COLUMN order_items.discount IS 'A part of one: 0.15 is 15 %.';
COMMENT ON COLUMN order_items.amount IS 'What the line costs, as agreed; never recomputed.';
COMMENT ON COLUMN order_items.service IS 'Postage, a fee: sold, but moves no stock.';

CREATE TABLE reservations (
    order_id text NOT NULL REFERENCES orders,
    line_no bigint NOT NULL,
    location_id text NOT NULL REFERENCES locations,
    quantity bigint NOT NULL,
    PRIMARY KEY (order_id, line_no, location_id)
);
CREATE INDEX reservations_location ON reservations (location_id);
COMMENT ON TABLE reservations IS 'Units of open order lines that stand reserved now. A status may come before its order, so a line may still be missing in order_items.';
COMMENT ON COLUMN reservations.order_id IS 'The order.';
COMMENT ON COLUMN reservations.line_no IS 'Its line.';
COMMENT ON COLUMN reservations.location_id IS 'Where the units stand.';
COMMENT ON COLUMN reservations.quantity IS 'Units reserved.';

CREATE TABLE sale_events (
    cause_topic text NOT NULL,
    cause_partition bigint NOT NULL,
    cause_offset bigint NOT NULL,
    order_id text NOT NULL REFERENCES orders,
    channel text NOT NULL,
    currency text NOT NULL,
    customer_id text REFERENCES customers,
    ship_to_place_id uuid REFERENCES places,
    priority text,
    backfill boolean NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    known_at timestamptz NOT NULL,
    PRIMARY KEY (cause_topic, cause_partition, cause_offset)
);
CREATE INDEX sale_events_order ON sale_events (order_id);
CREATE INDEX sale_events_customer ON sale_events (customer_id);
CREATE INDEX sale_events_ship_to ON sale_events (ship_to_place_id);
CREATE INDEX sale_events_occurred_at ON sale_events (occurred_at);
COMMENT ON TABLE sale_events IS 'What sold lines of an order, or brought them back: one row an event, never changed.';
COMMENT ON COLUMN sale_events.cause_topic IS 'Topic of the record that did it.';
COMMENT ON COLUMN sale_events.cause_partition IS 'Its partition.';
COMMENT ON COLUMN sale_events.cause_offset IS 'Its offset.';
COMMENT ON COLUMN sale_events.order_id IS 'The order; for a return of an unknown order, one of its own.';
COMMENT ON COLUMN sale_events.channel IS 'pos, web or import.';
COMMENT ON COLUMN sale_events.currency IS 'ISO 4217 code of the amounts; different ones are never summed.';
COMMENT ON COLUMN sale_events.customer_id IS 'Who bought, where known.';
COMMENT ON COLUMN sale_events.ship_to_place_id IS 'Where the goods went.';
COMMENT ON COLUMN sale_events.priority IS 'low, medium, high or critical.';
COMMENT ON COLUMN sale_events.backfill IS 'Part of an imported history.';
COMMENT ON COLUMN sale_events.occurred_at IS 'When it happened.';
COMMENT ON COLUMN sale_events.recorded_at IS 'When Kafka recorded what caused it.';
COMMENT ON COLUMN sale_events.known_at IS 'When the source knew of it.';

CREATE TABLE sales (
    cause_topic text NOT NULL,
    cause_partition bigint NOT NULL,
    cause_offset bigint NOT NULL,
    line_no bigint NOT NULL,
    location_id text NOT NULL REFERENCES locations,
    sku text NOT NULL REFERENCES products,
    quantity bigint NOT NULL,
    unit_price numeric(18, 4) NOT NULL,
    discount numeric(7, 6) NOT NULL,
    amount numeric(18, 4) NOT NULL,
    unmatched boolean NOT NULL,
    PRIMARY KEY (cause_topic, cause_partition, cause_offset, line_no, location_id),
    FOREIGN KEY (cause_topic, cause_partition, cause_offset) REFERENCES sale_events
);
CREATE INDEX sales_sku ON sales (sku);
COMMENT ON TABLE sales IS 'Facts: one row a sold line (positive) or returned line (negative), never changed.';
COMMENT ON COLUMN sales.cause_topic IS 'With partition and offset: the sale event.';
COMMENT ON COLUMN sales.cause_partition IS 'See cause_topic.';
COMMENT ON COLUMN sales.cause_offset IS 'See cause_topic.';
COMMENT ON COLUMN sales.line_no IS 'Line of the order.';
COMMENT ON COLUMN sales.location_id IS 'Where the goods left or came back.';
COMMENT ON COLUMN sales.sku IS 'What was sold.';
COMMENT ON COLUMN sales.quantity IS 'Units; negative where they came back.';
COMMENT ON COLUMN sales.unit_price IS 'Price of one unit before discount.';
COMMENT ON COLUMN sales.discount IS 'A part of one: 0.15 is 15 %.';
COMMENT ON COLUMN sales.amount IS 'Money taken; negative where it was given back.';
COMMENT ON COLUMN sales.unmatched IS 'A return whose order is not known here, or beyond what it had sold.';
