-- Campaigns in which each right of a place is looked at again, with a decision for each. Rows are only added, each with a
-- MAC (docs/adr/0018-two-persons.md).
CREATE TABLE hygie.review_campaign (
    id          text   PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    tenant      bytea  NOT NULL CHECK (length(tenant) = 16),
    environment bytea  NOT NULL CHECK (length(environment) = 16),
    name        text   NOT NULL CHECK (length(name) BETWEEN 3 AND 120),
    opened_by   text   NOT NULL,
    opened_ms   bigint NOT NULL,
    due_ms      bigint NOT NULL CHECK (due_ms > opened_ms),
    mac         bytea  NOT NULL CHECK (length(mac) = 32)
);
CREATE INDEX review_campaign_place ON hygie.review_campaign (environment, opened_ms);

CREATE TABLE hygie.right_review (
    campaign     text   NOT NULL REFERENCES hygie.review_campaign (id),
    habilitation text   NOT NULL REFERENCES hygie.habilitation (id),
    decision     text   NOT NULL CHECK (decision IN ('keep', 'withdraw')),
    decided_by   text   NOT NULL,
    decided_ms   bigint NOT NULL,
    why          text   NOT NULL CHECK (length(why) <= 500),
    mac          bytea  NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (campaign, habilitation)
);

GRANT SELECT, INSERT ON hygie.review_campaign, hygie.right_review TO hygie_hosting;
GRANT SELECT ON hygie.review_campaign, hygie.right_review TO hygie_sealer;
GRANT SELECT (id, tenant, environment, name, opened_by, opened_ms, due_ms) ON hygie.review_campaign TO hygie_console;
GRANT SELECT (campaign, habilitation, decision, decided_by, decided_ms, why) ON hygie.right_review TO hygie_console;
