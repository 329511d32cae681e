-- How far the sink has copied each topic.
SELECT topic, partition, next FROM stream_positions
