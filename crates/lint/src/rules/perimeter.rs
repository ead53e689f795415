//! Perimeters of VPC Service Controls: who comes in.

use serde_json::Value;

use crate::{
    finding::Findings,
    rule::{Rule, Severity},
};

pub(crate) static ANY: Rule = Rule {
    id: "perimeter-any-identity",
    area: "perimeter",
    severity: Severity::Warning,
    title: "Everyone comes through the perimeter",
    explanation: "An ingress rule with `ANY_IDENTITY` is needed for the token exchange alone, whose callers have no identity yet, and only from \
                  the operator's project. For every other service, or from everywhere, the perimeter keeps nobody out.",
    fix: "Name `sources` in every rule, and for services other than sts.googleapis.com the members that `csign render vpc-sc` writes.",
};

pub(crate) static RULES: &[&Rule] = &[&ANY];

pub(crate) fn check(rule: &Value, findings: &mut Findings<'_>) {
    let from = rule.get("ingressFrom").unwrap_or(&Value::Null);
    let any = from.get("identityType").and_then(Value::as_str).is_some_and(|kind| kind != "IDENTITY_TYPE_UNSPECIFIED");
    if !any {
        return;
    }
    let sources = from.get("sources").and_then(Value::as_array).into_iter().flatten();
    let sources: Vec<&str> = sources.filter_map(|source| source.as_object()?.values().next()?.as_str()).collect();
    if sources.is_empty() || sources.contains(&"*") {
        findings.add(&ANY, "/ingressFrom", "any identity comes in from anywhere");
    }
    let operations = rule.get("ingressTo").and_then(|to| to.get("operations")).and_then(Value::as_array);
    let services = operations.into_iter().flatten().filter_map(|operation| operation.get("serviceName")?.as_str());
    for service in services.filter(|service| *service != "sts.googleapis.com") {
        findings.add(&ANY, "/ingressTo/operations", format!("any identity reaches {service}"));
    }
}
