-- The platform's own tables live here only: the working process publishes them, sealed, on the sites. It reads what it
-- publishes (tokens are hashes), and an erasure counts as a change like any other.
GRANT SELECT ON hygie.account, hygie.token, hygie.habilitation, hygie.gate_generation TO hygie_sealer;

CREATE TRIGGER erasure_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.erasure
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
