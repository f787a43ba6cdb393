//! What customers manage: assistants, phone numbers, members, their organization; and who changed it.

mod assistants;
mod audit;
mod members;
mod numbers;
mod operators;
mod organization;
mod supabase;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{World, answers::Answer};

impl World {
    /// Asks the API as the demo organization.
    async fn own(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.api(&self.demo.api_key, method, path, body, None).await
    }

    /// Changes something that must still have a tag.
    async fn patch_if(&self, path: &str, body: &Value, tag: &str) -> Answer {
        self.api(&self.demo.api_key, Method::PATCH, path, Some(body), Some(tag)).await
    }

    /// What the audit log has of a kind of change, oldest first: target, before, after.
    async fn audited(&self, action: &str) -> Vec<(String, Value, Value)> {
        let sql = "select target, coalesce(before, 'null'), coalesce(after, 'null') from audit_log
                   where action = $1 and organization_id = $2 and actor like 'api_key:%'
                     and host(ip) = '127.0.0.1' order by created_at, id";
        let rows = self.db.query(sql, &[&action, &self.organization()]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }

    /// Each of these needs its scope, and another organization finds nothing there.
    async fn are_guarded(&self, routes: &[(Method, &str, &str)], shown: &str) {
        let other = self.second_organization().await;
        let narrow = self.key_with(&["calls:read"]).await;
        for (method, path, scope) in routes {
            let body = (*method != Method::GET).then(|| json!({}));
            let refused = self.api(&narrow, method.clone(), path, body.as_ref(), None).await;
            // What is wrong with the body is said first where it has required fields.
            if refused.status != 400 || *method == Method::GET {
                let problem = refused.with(403);
                assert!(problem["detail"].as_str().unwrap().contains(scope), "{problem}");
            }
            if path.starts_with(shown) {
                let answer =
                    self.api(&other.api_key, method.clone(), path, body.as_ref(), None).await;
                let expected: &[u16] = if body.is_some() { &[404, 400] } else { &[404] };
                assert!(expected.contains(&answer.status), "{method} {path}: {}", answer.body);
            }
        }
    }
}

/// Pages through a list with pages of one; gives a field of each item.
async fn all(world: &World, path: &str, field: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = format!("{path}{separator}limit=1{cursor}");
        let page = world.own(Method::GET, &page, None).await.with(200);
        found.extend(page["data"].as_array().unwrap().iter().map(|item| item[field].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}
