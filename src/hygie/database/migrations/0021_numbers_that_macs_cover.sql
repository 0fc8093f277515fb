-- Numbers that the MAC of a row covers are never below zero: what the hosting role may add has that floor too. NOT VALID:
-- a row planted before is passed over by who reads it, and stops no upgrade.
ALTER TABLE hygie.break_glass ADD CONSTRAINT break_glass_floor CHECK (opened_ms >= 0) NOT VALID;
ALTER TABLE hygie.break_glass_review ADD CONSTRAINT break_glass_review_floor CHECK (reviewed_ms >= 0) NOT VALID;
ALTER TABLE hygie.request ADD CONSTRAINT request_floor CHECK (asked_ms >= 0) NOT VALID;
ALTER TABLE hygie.decision ADD CONSTRAINT decision_floor CHECK (decided_ms >= 0) NOT VALID;
ALTER TABLE hygie.request_use ADD CONSTRAINT request_use_floor CHECK (used_ms >= 0) NOT VALID;
ALTER TABLE hygie.review_campaign ADD CONSTRAINT review_campaign_floor CHECK (opened_ms >= 0) NOT VALID;
ALTER TABLE hygie.right_review ADD CONSTRAINT right_review_floor CHECK (decided_ms >= 0) NOT VALID;
ALTER TABLE hygie.retention ADD CONSTRAINT retention_floor CHECK (since_ms >= 0) NOT VALID;
