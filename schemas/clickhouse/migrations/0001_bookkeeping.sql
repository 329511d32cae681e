-- What the sink must remember about its copying. `schema_migrations` is made before all others.

-- Identity of each topic that was copied: one made anew under the same name has another.
CREATE TABLE IF NOT EXISTS copied_topics ${on_cluster} (
    topic String,
    topic_id String
) ENGINE = ${replacing}
ORDER BY (topic, topic_id);

-- A copy begins with an epoch and ends with the next; positions of earlier ones mean nothing.
-- emptying: a rebuild is deleting; nothing may be copied until the next epoch.
CREATE TABLE IF NOT EXISTS copy_epochs ${on_cluster} (
    number UInt64,
    epoch UUID,
    emptying Bool
) ENGINE = ${replacing}
ORDER BY number;

-- The next offset to copy. It only grows, so whoever writes late changes nothing.
CREATE TABLE IF NOT EXISTS copied_positions ${on_cluster} (
    epoch UUID,
    topic String,
    partition Int32,
    next Int64
) ENGINE = ${replacing}(next)
ORDER BY (epoch, topic, partition);

INSERT INTO copy_epochs (number, epoch, emptying)
SELECT 1, generateUUIDv4(), false
WHERE (SELECT count() FROM copy_epochs) = 0;
