//! The target `aws`: the workload assumes a role by its attestation token, decrypts with a key in AWS KMS and reads a bucket.
//!
//! AWS reads the tags in the token, each one text; what is a list in Confidential Space is joined with `=` there. A token names
//! either the digest or the keys that signed, never both. Numbers and names in policies are checked; the documents are JSON.

use std::collections::BTreeSet;

use csign_contract::{Contract, Threshold};
use serde_json::{Map, Value, json};

use crate::{
    Files, Grant, Input, RenderError, Role, json as json_file,
    names::{self, Form},
    settings::{Aws, required},
};

const VERSION: &str = "2012-10-17";
const ACCOUNT: Form =
    Form { want: "account of twelve digits", longest: 12, first: |c| c.is_ascii_digit(), rest: |c| c.is_ascii_digit() };

/// Names of one account.
struct Names {
    account: String,
    region: String,
    role: String,
    audience: String,
    bucket: String,
    prefix: String,
    administrator: String,
}

impl Names {
    fn of(contract: &Contract, settings: &Aws) -> Result<Self, RenderError> {
        let account = required(settings.account.as_ref(), "aws.account", "the twelve digits of your account")?;
        let region = required(settings.region.as_ref(), "aws.region", "where the key is, for instance eu-west-1")?;
        let bucket = required(settings.bucket.as_ref(), "aws.bucket", "where the encrypted data are")?;
        let administrator = required(
            settings.key_administrator.as_ref(),
            "aws.key_administrator",
            "who manages the key and cannot decrypt with it, for instance role/security",
        )?;
        let account = ACCOUNT.check("aws.account", account)?;
        if account.len() != 12 {
            return Err(RenderError::Value { at: "aws.account".to_owned(), value: account, want: ACCOUNT.want });
        }
        let prefix = &settings.prefix;
        Ok(Self {
            region: names::NAME.check("aws.region", region)?,
            role: names::ID.check("aws.role", &settings.role)?,
            audience: match &settings.audience {
                Some(audience) => names::PATH.check("aws.audience", audience)?,
                None => format!("https://csign.dev/aws/{}", contract.digest()),
            },
            bucket: names::ID.check("aws.bucket", bucket)?,
            prefix: if prefix.is_empty() { String::new() } else { names::PATH.check("aws.prefix", prefix)? },
            administrator: names::PATH.check("aws.key_administrator", administrator)?,
            account,
        })
    }

    fn arn(&self, what: &str) -> String {
        format!("arn:aws:iam::{}:{what}", self.account)
    }
}

/// The same for two images at once: the trust policy has a statement for each, so no image comes in by the other's terms.
pub(crate) fn both(role: &Role, before: Input<'_>, after: Input<'_>) -> Result<Files, RenderError> {
    const TRUST: &str = "aws-trust-policy.json";
    let mut files = files(role, after)?;
    let issuer = after.contract.environment.issuer();
    let host = host(issuer);
    let mut policy = trust(before, &Names::of(before.contract, &before.settings.aws)?, host)?;
    let new = trust(after, &Names::of(after.contract, &after.settings.aws)?, host)?;
    if let (Some(statements), Some(more)) = (policy["Statement"].as_array_mut(), new["Statement"].as_array()) {
        for statement in more {
            if !statements.contains(statement) {
                statements.push(statement.clone());
            }
        }
    }
    files.insert(TRUST.to_owned(), json_file(&policy));
    Ok(files)
}

/// An issuer as Amazon names it.
fn host(issuer: &str) -> &str {
    issuer.split_once("://").map_or(issuer, |(_, host)| host)
}

/// Documents and the script that gives them to AWS.
pub(crate) fn files(role: &Role, input: Input<'_>) -> Result<Files, RenderError> {
    let wrong = || RenderError::Role { target: "aws", role: role.to_string(), wanted: "collaborator=NAME" };
    let Role::Collaborator(name) = role else { return Err(wrong()) };
    input.contract.collaborator(name).ok_or_else(wrong)?;
    let names = Names::of(input.contract, &input.settings.aws)?;
    let issuer = input.contract.environment.issuer();
    let host = host(issuer);
    let provider = json!({"Url": issuer, "ClientIDList": [names.audience]});
    // By a file: on its command line, aws would fetch what looks like a URL.
    let client = json!({
        "OpenIDConnectProviderArn": names.arn(&format!("oidc-provider/{host}")),
        "ClientID": names.audience,
    });
    Ok(Files::from([
        ("aws-oidc-client.json".to_owned(), json_file(&client)),
        ("aws-oidc-provider.json".to_owned(), json_file(&provider)),
        ("aws-trust-policy.json".to_owned(), json_file(&trust(input, &names, host)?)),
        ("aws-role-policy.json".to_owned(), json_file(&role_policy(&names))),
        ("aws-key-policy.json".to_owned(), json_file(&key_policy(&names))),
        ("aws-bucket-policy.json".to_owned(), json_file(&bucket_policy(&names))),
        ("aws.sh".to_owned(), crate::File { text: script(&names, host), executable: true }),
    ]))
}

/// Who assumes the role. Every tag is required to be there: a condition on an absent key is false.
fn trust(input: Input<'_>, names: &Names, host: &str) -> Result<Value, RenderError> {
    let contract = input.contract;
    let tag = |name: &str| format!("aws:RequestTag/{name}");
    let mut equals = Map::new();
    equals.insert(format!("{host}:aud"), json!(names.audience));
    equals.insert(tag("gce.project_id"), json!(contract.operator.project_id));
    match input.settings.collaborator.grant {
        Grant::Digest if input.digests.is_empty() => return Err(RenderError::NoDigest("the grant \"digest\"")),
        Grant::Digest => {
            equals.insert(tag("container.image_digest"), json!(input.digests));
        }
        Grant::Signers => {
            equals.insert(tag("container.signatures.key_ids"), json!(signers(contract)?));
        }
    }
    // The attributes are one text, joined with '=': the wanted one is one of them, not a part of one.
    let support = contract.platform.support.name();
    let like = [support.to_owned(), format!("{support}=*"), format!("*={support}"), format!("*={support}=*")];
    Ok(json!({
        "Version": VERSION,
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": names.arn(&format!("oidc-provider/{host}"))},
            "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
            "Condition": {
                "StringEquals": equals,
                "StringLike": {tag("confidential_space.support_attributes"): like},
            },
        }],
    }))
}

/// The text that the tag has when all signed whom a token can show. Whoever asks for a token chooses which keys it may name, so
/// only the whole set, sorted, is accepted.
fn signers(contract: &Contract) -> Result<String, RenderError> {
    let readable = contract.parties.iter().map(|party| &party.public_key);
    let readable = readable.filter(|key| key.algorithm().is_read_by_confidential_space());
    let ids: BTreeSet<String> = readable.map(|key| key.id().to_string()).collect();
    if ids.is_empty() {
        return Err(RenderError::NoReadableSigner);
    }
    if contract.signatures.threshold != Threshold::All {
        return Err(RenderError::Value {
            at: "collaborator.grant".to_owned(),
            value: "signers".to_owned(),
            want: "grant for AWS under a threshold below \"all\": AWS compares one text and counts nothing",
        });
    }
    Ok(ids.into_iter().collect::<Vec<_>>().join("="))
}

/// What the role may do.
fn role_policy(names: &Names) -> Value {
    json!({
        "Version": VERSION,
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": objects(names)}],
    })
}

/// Only the role decrypts; whoever manages the key does not.
fn key_policy(names: &Names) -> Value {
    json!({
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "Manage",
                "Effect": "Allow",
                "Principal": {"AWS": names.arn(&names.administrator)},
                "Action": [
                    "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey",
                    "kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus",
                    "kms:ListAliases", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource",
                ],
                "Resource": "*",
            },
            {
                "Sid": "Encrypt",
                "Effect": "Allow",
                "Principal": {"AWS": names.arn(&names.administrator)},
                "Action": ["kms:Encrypt", "kms:GenerateDataKey"],
                "Resource": "*",
            },
            {
                "Sid": "DecryptInTheWorkload",
                "Effect": "Allow",
                "Principal": {"AWS": names.arn(&format!("role/{}", names.role))},
                "Action": "kms:Decrypt",
                "Resource": "*",
            },
        ],
    })
}

/// The role reads, over TLS only.
fn bucket_policy(names: &Names) -> Value {
    json!({
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "ReadInTheWorkload",
                "Effect": "Allow",
                "Principal": {"AWS": names.arn(&format!("role/{}", names.role))},
                "Action": "s3:GetObject",
                "Resource": objects(names),
            },
            {
                "Sid": "NothingInTheClear",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [format!("arn:aws:s3:::{}", names.bucket), format!("arn:aws:s3:::{}/*", names.bucket)],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    })
}

fn objects(names: &Names) -> String {
    format!("arn:aws:s3:::{}/{}*", names.bucket, names.prefix)
}

/// Every name in it is checked.
fn script(names: &Names, host: &str) -> String {
    let provider = names.arn(&format!("oidc-provider/{host}"));
    let Names { region, role, bucket, audience, account, .. } = names;
    // AWS's first region takes no such configuration.
    let constraint = match region.as_str() {
        "us-east-1" => "",
        _ => " --create-bucket-configuration \"LocationConstraint=$AWS_REGION\"",
    };
    format!(
        r#"#!/usr/bin/env bash
# Written by csign render aws. Makes what is missing and writes the policies anew; run it as often as you like.
# --check reads, and says what is missing or differs; exit status 1 if anything does, 3 if something could not be read.
set -euo pipefail
cd "$(dirname "$0")"
export AWS_REGION='{region}' AWS_DEFAULT_REGION='{region}' AWS_PAGER=
provider='{provider}' role='{role}' alias='alias/{role}' bucket='{bucket}' audience='{audience}'

# there ABSENT COMMAND…: false if AWS says ABSENT. What cannot be read for another reason is not taken for absent.
found=
there() {{
  local absent=$1 errors status=0
  shift
  errors=$(mktemp)
  found=$(aws "$@" 2>"$errors") || status=$?
  if [ "$status" -ne 0 ] && ! grep -Eq "\(($absent)\)" "$errors"; then
    cat "$errors" >&2
    rm -f "$errors"
    exit 3
  fi
  rm -f "$errors"
  return "$status"
}}

changes=0

differs() {{
  changes=1
  printf 'differs %s\n' "$1"
}}

# same FILE: is that what was found, apart from spaces, of which no text in it has any?
same() {{
  if [ "$(tr -d '[:space:]' <<<"$found")" = "$(tr -d '[:space:]' <"$1")" ]; then
    printf 'ok      %s\n' "$1"
  else
    differs "$1"
  fi
}}

account=$(aws sts get-caller-identity --query Account --output text) || exit 3
[ "$account" = '{account}' ] || {{
  echo 'error: these are not the credentials of account {account}' >&2
  exit 2
}}
case ${{1:-}} in
  '')
    if ! there NoSuchEntity iam get-open-id-connect-provider --open-id-connect-provider-arn "$provider" \
      --query ClientIDList --output text; then
      aws iam create-open-id-connect-provider --cli-input-json file://aws-oidc-provider.json
    elif ! tr '\t' '\n' <<<"$found" | grep -Fxq -- "$audience"; then
      aws iam add-client-id-to-open-id-connect-provider --cli-input-json file://aws-oidc-client.json
    fi
    if there NoSuchEntity iam get-role --role-name "$role"; then
      aws iam update-assume-role-policy --role-name "$role" --policy-document file://aws-trust-policy.json
    else
      aws iam create-role --role-name "$role" --assume-role-policy-document file://aws-trust-policy.json
    fi
    aws iam put-role-policy --role-name "$role" --policy-name csign --policy-document file://aws-role-policy.json
    if there NotFoundException kms describe-key --key-id "$alias" --query KeyMetadata.KeyId --output text; then
      aws kms put-key-policy --key-id "$found" --policy-name default --policy file://aws-key-policy.json
    else
      key=$(aws kms create-key --policy file://aws-key-policy.json --query KeyMetadata.KeyId --output text)
      aws kms create-alias --alias-name "$alias" --target-key-id "$key"
    fi
    there '404|NoSuchBucket' s3api head-bucket --bucket "$bucket" ||
      aws s3api create-bucket --bucket "$bucket"{constraint}
    aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
      BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
    aws s3api put-bucket-policy --bucket "$bucket" --policy file://aws-bucket-policy.json
    ;;
  --check)
    if there NoSuchEntity iam get-open-id-connect-provider --open-id-connect-provider-arn "$provider" \
      --query ClientIDList --output text && tr '\t' '\n' <<<"$found" | grep -Fxq -- "$audience"; then
      printf 'ok      provider\n'
    else
      differs provider
    fi
    there NoSuchEntity iam get-role --role-name "$role" --query Role.AssumeRolePolicyDocument --output json || found=
    same aws-trust-policy.json
    there NoSuchEntity iam get-role-policy --role-name "$role" --policy-name csign --query PolicyDocument \
      --output json || found=
    same aws-role-policy.json
    if there NotFoundException kms describe-key --key-id "$alias" --query KeyMetadata.KeyId --output text; then
      there NotFoundException kms get-key-policy --key-id "$found" --policy-name default --query Policy \
        --output text || found=
    fi
    same aws-key-policy.json
    there 'NoSuchBucketPolicy|NoSuchBucket' s3api get-bucket-policy --bucket "$bucket" --query Policy \
      --output text || found=
    same aws-bucket-policy.json
    exit "$changes"
    ;;
  --teardown)
    # Bucket and key stay: they are the data.
    aws iam delete-role-policy --role-name "$role" --policy-name csign
    aws iam delete-role --role-name "$role"
    aws iam delete-open-id-connect-provider --open-id-connect-provider-arn "$provider"
    ;;
  *)
    echo 'usage: aws.sh [--check | --teardown]' >&2
    exit 2
    ;;
esac
"#
    )
}
