-- Loops measure every few seconds, for ever: the working process lets the oldest runs of a kind go. By count and not by
-- date: a clock that lies must not throw a month of evidence away. The newest thousand of a kind stay, whatever is asked.
CREATE FUNCTION hygie.trim_measurements(of_kind text, kept integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = hygie, pg_temp AS $$
    WITH gone AS (
        DELETE FROM hygie.measurement WHERE kind = of_kind AND id <= (
            SELECT id FROM hygie.measurement WHERE kind = of_kind
            ORDER BY id DESC OFFSET greatest(kept, 1000) LIMIT 1
        ) RETURNING id
    )
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION hygie.trim_measurements(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hygie.trim_measurements(text, integer) TO hygie_sealer;
