-- +goose Up
-- traceparent is the span in which an event was recorded (W3C Trace Context), so that its deliveries
-- belong to the same trace. It is NULL if the trace is not recorded.
ALTER TABLE events ADD COLUMN traceparent VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL;

-- +goose Down
ALTER TABLE events DROP COLUMN traceparent;
