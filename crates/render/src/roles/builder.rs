//! The builder: the repository of images, a service account that builds, its signing key, a trigger.

use super::{ImageRepository, Steps, kms_algorithm, on, operator, service_account};
use crate::{
    Input, On, Purpose, RenderError, Resource,
    names::{self, KeyName},
    settings::{Builder, required},
};

/// Adds what the builder needs; returns the builder's project.
pub(super) fn steps(input: Input<'_>, steps: &mut Steps) -> Result<String, RenderError> {
    let settings = &input.settings.builder;
    let ImageRepository { location, project, id } = ImageRepository::of(input)?;
    let (_, operator_account) = operator(input)?;
    let mut services = vec!["artifactregistry.googleapis.com"];
    if settings.cloud_build {
        services.push("cloudbuild.googleapis.com");
    }
    services.extend([
        "cloudkms.googleapis.com",
        "iam.googleapis.com",
        "logging.googleapis.com",
        "monitoring.googleapis.com",
    ]);
    if settings.cloud_build {
        services.push("storage.googleapis.com");
    }
    steps.add("What is used below.", Resource::Services { project: project.clone(), services });
    steps.add(
        "Images and their signatures.",
        Resource::Repository { project: project.clone(), location: location.clone(), id: id.clone() },
    );
    let repository = On::Repository { project: project.clone(), location: location.clone(), id };
    let mut readers = vec![service_account(&operator_account)];
    readers.extend(names::MEMBER.check_all("builder.readers", &settings.readers)?);

    let key = match &settings.signing_key {
        Some(key) => KeyName::parse("builder.signing_key", key)?,
        None => KeyName {
            project: project.clone(),
            location: "global".to_owned(),
            ring: "csign".to_owned(),
            id: "image-signing".to_owned(),
        },
    };
    let place = Place { location, project, repository, key };
    let builds = if settings.cloud_build { Some(account(&place, settings, steps)?) } else { None };
    steps.grant(
        "The operator's machine pulls; so do those who verify.",
        place.repository.clone(),
        "roles/artifactregistry.reader",
        readers,
    );
    let parties = &input.contract.parties;
    let party = parties.iter().find(|party| party.collaborator.is_none()).or(parties.first());
    let algorithm = match party {
        Some(party) => kms_algorithm(&party.public_key)?,
        None => "ec-sign-p256-sha256",
    };
    steps.key("Signs images.", &place.key, Purpose::Signing(algorithm), settings.protection);
    let viewers = names::MEMBER.check_all("builder.key_viewers", &settings.key_viewers)?;
    if let Some(email) = &builds {
        sign(&place, email, steps);
    }
    steps.grant("Others compare the key with the contract.", on(&place.key), "roles/cloudkms.publicKeyViewer", viewers);
    if let Some(email) = builds {
        build(&place, email, settings, steps)?;
    }
    let project = place.project;
    steps.watch(
        input,
        &project,
        vec!["artifactregistry.googleapis.com", "cloudkms.googleapis.com", "iam.googleapis.com"],
        vec![
            (
                "csign: signing was refused",
                "protoPayload.serviceName=\"cloudkms.googleapis.com\" AND protoPayload.status.code>0".to_owned(),
            ),
            (
                "csign: rights on the signing key changed",
                "protoPayload.serviceName=\"cloudkms.googleapis.com\" AND protoPayload.methodName:\"SetIamPolicy\""
                    .to_owned(),
            ),
        ],
    )?;
    Ok(project)
}

/// Where the builder's things are.
struct Place {
    location: String,
    project: String,
    repository: On,
    key: KeyName,
}

/// The account that Cloud Build runs as; returns its address.
fn account(place: &Place, settings: &Builder, steps: &mut Steps) -> Result<String, RenderError> {
    let Place { project, repository, .. } = place;
    let id = names::NAME.check("builder.service_account", &settings.service_account)?;
    let email = format!("{id}@{project}.iam.gserviceaccount.com");
    let builds = vec![service_account(&email)];
    steps.add("Builds run as this.", Resource::ServiceAccount { project: project.clone(), id });
    steps.grant("Builds write logs.", On::Project(project.clone()), "roles/logging.logWriter", builds.clone());
    steps.grant("Builds push.", repository.clone(), "roles/artifactregistry.writer", builds);
    Ok(email)
}

/// Its rights on the key.
fn sign(place: &Place, email: &str, steps: &mut Steps) {
    let builds = vec![service_account(email)];
    steps.grant("Builds sign.", on(&place.key), "roles/cloudkms.signerVerifier", builds.clone());
    steps.grant("Builds read which version of the key there is.", on(&place.key), "roles/cloudkms.viewer", builds);
}

/// The bucket of builds, and what starts them.
fn build(place: &Place, email: String, settings: &Builder, steps: &mut Steps) -> Result<(), RenderError> {
    let Place { project, location, .. } = place;
    let bucket = match &settings.bucket {
        Some(bucket) => names::ID.check("builder.bucket", bucket)?,
        None => format!("{}-csign-build", project.replace([':', '.'], "-")),
    };
    steps.add(
        "Sources and logs of builds.",
        Resource::Bucket { project: project.clone(), location: location.clone(), name: bucket.clone() },
    );
    steps.grant(
        "Builds use it.",
        On::Bucket { project: project.clone(), name: bucket },
        "roles/storage.objectAdmin",
        vec![service_account(&email)],
    );
    let trigger = &settings.trigger;
    let repository = required(
        trigger.repository.as_ref(),
        "builder.trigger.repository",
        "where the source is: projects/…/connections/…/repositories/… or the URL of a GitHub repository; or builder.cloud_build = false",
    )?;
    steps.add(
        "A person starts it; it could be on push too.",
        Resource::Trigger {
            project: project.clone(),
            region: names::NAME.check("builder.trigger.region", trigger.region.as_ref().unwrap_or(location))?,
            name: names::NAME.check("builder.trigger.name", &trigger.name)?,
            repository: names::PATH.check("builder.trigger.repository", repository)?,
            branch: names::PATH.check("builder.trigger.branch", &trigger.branch)?,
            config: names::PATH.check("builder.trigger.config", &trigger.config)?,
            account: email,
        },
    );
    Ok(())
}
