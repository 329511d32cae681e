-- Levels of stock, when to reorder, and alerts. Versions are those of the folds' states.

CREATE TABLE inventory (
    sku text NOT NULL REFERENCES products,
    location_id text NOT NULL REFERENCES locations,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    in_transit bigint NOT NULL,
    unknown_product boolean NOT NULL,
    counted_at timestamptz,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    version bigint NOT NULL,
    cause jsonb NOT NULL,
    PRIMARY KEY (sku, location_id)
);
CREATE INDEX inventory_location ON inventory (location_id);
COMMENT ON TABLE inventory IS 'What is where now: the sum of all movements of a SKU at a location.';
COMMENT ON COLUMN inventory.sku IS 'What.';
COMMENT ON COLUMN inventory.location_id IS 'Where.';
COMMENT ON COLUMN inventory.on_hand IS 'Units there by the books; below zero after an oversold till sale.';
COMMENT ON COLUMN inventory.reserved IS 'Units promised to open orders.';
COMMENT ON COLUMN inventory.in_transit IS 'Units on their way here; not on hand.';
COMMENT ON COLUMN inventory.unknown_product IS 'Goods moved before any product with this SKU was known.';
COMMENT ON COLUMN inventory.counted_at IS 'When it was last counted.';
COMMENT ON COLUMN inventory.occurred_at IS 'When the last change happened.';
COMMENT ON COLUMN inventory.recorded_at IS 'When Kafka recorded what caused it.';
COMMENT ON COLUMN inventory.version IS 'Rises by one with each movement here.';
COMMENT ON COLUMN inventory.cause IS 'Input topic: highest offset that the level includes.';

CREATE TABLE thresholds (
    sku text NOT NULL REFERENCES products,
    location_id text NOT NULL REFERENCES locations,
    source text NOT NULL,
    raise_at bigint NOT NULL,
    clear_at bigint NOT NULL,
    order_quantity bigint,
    until timestamptz,
    set_by text,
    why text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (sku, location_id, source)
);
CREATE INDEX thresholds_location ON thresholds (location_id);
COMMENT ON TABLE thresholds IS 'When stock is low: as computed (reorder-point) and as people set it (override, which wins).';
COMMENT ON COLUMN thresholds.sku IS 'Of what.';
COMMENT ON COLUMN thresholds.location_id IS 'Where.';
COMMENT ON COLUMN thresholds.source IS 'reorder-point or override.';
COMMENT ON COLUMN thresholds.raise_at IS 'An alert is raised at or below this level.';
COMMENT ON COLUMN thresholds.clear_at IS 'It ends at or above this one.';
COMMENT ON COLUMN thresholds.order_quantity IS 'Units to order then; reorder points only.';
COMMENT ON COLUMN thresholds.until IS 'An override ends then; NULL for never.';
COMMENT ON COLUMN thresholds.set_by IS 'The person or program that set it.';
COMMENT ON COLUMN thresholds.why IS 'The reason, for people.';
COMMENT ON COLUMN thresholds.occurred_at IS 'When it was set.';
COMMENT ON COLUMN thresholds.recorded_at IS 'When Kafka recorded it.';
COMMENT ON COLUMN thresholds.version IS 'Offset on its topic.';

CREATE TABLE alerts (
    sku text NOT NULL REFERENCES products,
    location_id text NOT NULL REFERENCES locations,
    severity text NOT NULL,
    announced text NOT NULL,
    level bigint,
    alert_id text,
    since timestamptz,
    acknowledged_by text,
    acknowledged_at timestamptz,
    snoozed_until timestamptz,
    due_at timestamptz,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    version bigint NOT NULL,
    cause jsonb NOT NULL,
    PRIMARY KEY (sku, location_id)
);
CREATE INDEX alerts_location ON alerts (location_id);
CREATE INDEX alerts_open ON alerts (severity, since) WHERE severity <> 'ok';
COMMENT ON TABLE alerts IS 'How each SKU stands at each location now: the state of its low-stock alert.';
COMMENT ON COLUMN alerts.sku IS 'Of what.';
COMMENT ON COLUMN alerts.location_id IS 'Where.';
COMMENT ON COLUMN alerts.severity IS 'ok, low, critical or out.';
COMMENT ON COLUMN alerts.announced IS 'The severity that was told last; it lags while snoozed.';
COMMENT ON COLUMN alerts.level IS 'On hand less reserved, when last seen.';
COMMENT ON COLUMN alerts.alert_id IS 'The same from raise to end; NULL while all is well.';
COMMENT ON COLUMN alerts.since IS 'When it was raised.';
COMMENT ON COLUMN alerts.acknowledged_by IS 'Who takes care of it.';
COMMENT ON COLUMN alerts.acknowledged_at IS 'Since when.';
COMMENT ON COLUMN alerts.snoozed_until IS 'Nothing is said until then.';
COMMENT ON COLUMN alerts.due_at IS 'When it will be looked at again.';
COMMENT ON COLUMN alerts.occurred_at IS 'When the last change happened.';
COMMENT ON COLUMN alerts.recorded_at IS 'When it was recorded.';
COMMENT ON COLUMN alerts.version IS 'Rises with each change.';
COMMENT ON COLUMN alerts.cause IS 'Input topic: highest offset that the state includes.';

CREATE TABLE alert_history (
    event_id text PRIMARY KEY,
    sku text NOT NULL REFERENCES products,
    location_id text NOT NULL REFERENCES locations,
    alert_id text NOT NULL,
    what text NOT NULL,
    old_state text NOT NULL,
    state text NOT NULL,
    level bigint NOT NULL,
    raise_at bigint NOT NULL,
    clear_at bigint NOT NULL,
    threshold_source text NOT NULL,
    since timestamptz NOT NULL,
    why text NOT NULL,
    changed_by text,
    version bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX alert_history_place ON alert_history (sku, location_id, version);
CREATE INDEX alert_history_location ON alert_history (location_id);
CREATE INDEX alert_history_occurred_at ON alert_history (occurred_at);
COMMENT ON TABLE alert_history IS 'Facts: every change of an alert, with the levels that counted then.';
COMMENT ON COLUMN alert_history.event_id IS 'Of the event on low-stock-alerts.';
COMMENT ON COLUMN alert_history.sku IS 'Of what.';
COMMENT ON COLUMN alert_history.location_id IS 'Where.';
COMMENT ON COLUMN alert_history.alert_id IS 'The same from raise to end.';
COMMENT ON COLUMN alert_history.what IS 'raised, worse, better, ended, acknowledged, snoozed or resolved.';
COMMENT ON COLUMN alert_history.old_state IS 'Severity before.';
COMMENT ON COLUMN alert_history.state IS 'Severity after.';
COMMENT ON COLUMN alert_history.level IS 'On hand less reserved, when decided.';
COMMENT ON COLUMN alert_history.raise_at IS 'The threshold that counted.';
COMMENT ON COLUMN alert_history.clear_at IS 'The level that would have ended it.';
COMMENT ON COLUMN alert_history.threshold_source IS 'override, reorder-point or default.';
COMMENT ON COLUMN alert_history.since IS 'When the alert was raised.';
COMMENT ON COLUMN alert_history.why IS 'The reason, for people.';
COMMENT ON COLUMN alert_history.changed_by IS 'Who acknowledged, snoozed or resolved it.';
COMMENT ON COLUMN alert_history.version IS 'Of the alert''s state after it.';
COMMENT ON COLUMN alert_history.occurred_at IS 'When it happened.';
COMMENT ON COLUMN alert_history.recorded_at IS 'When it was recorded.';
