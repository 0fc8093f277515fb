-- The instant at which a right ended is not before it was ended: the hosting role cannot make past accesses look
-- unlawful. An instant a little before (the caller's clock) becomes now.

CREATE OR REPLACE FUNCTION hygie.end_habilitation(wanted text, by_whom text, at bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = hygie, pg_temp AS $$
    WITH ended AS (
        UPDATE hygie.habilitation SET
            revoked_ms = greatest(at, (extract(epoch FROM clock_timestamp()) * 1000)::bigint),
            revoked_by = by_whom, mac = NULL
        WHERE id = wanted AND revoked_ms IS NULL RETURNING 1
    )
    SELECT EXISTS (SELECT FROM ended)
$$;
