"""SLA model to rules, proofs, dashboards and routes: pure, and one writer."""
