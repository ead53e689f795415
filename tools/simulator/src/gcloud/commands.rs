//! The commands of the simulator's gcloud, one a line: words, positional arguments, flags. What is not here is refused.
//!
//! `NAME`, `[NAME]` and `NAME...` are positional, `@NAME` is a file; `--flag` takes nothing, `--[no-]flag` has an opposite,
//! `--flag=` takes a value, `--flag=@` a file, and `!` says that it must be given. The test of the rendered scripts asks the
//! real gcloud's parser whether it has all of them.

use super::{
    Context, Failure, compute, identity, kms, local, policy, projects, pubsub,
    records::{self, Kind, Verb},
    show::Shown,
    storage,
};

/// A command and what it does.
pub(super) struct Command {
    pub(super) line: &'static str,
    pub(super) run: Run,
}

/// What a command does.
pub(super) enum Run {
    /// Something of its own.
    Own(fn(&mut Context<'_>) -> Result<Shown, Failure>),
    /// Keeps a record, and nothing else comes of it.
    Record(Verb, &'static Kind),
}

const fn own(line: &'static str, run: fn(&mut Context<'_>) -> Result<Shown, Failure>) -> Command {
    Command { line, run: Run::Own(run) }
}

const fn record(line: &'static str, verb: Verb, kind: &'static Kind) -> Command {
    Command { line, run: Run::Record(verb, kind) }
}

/// Everything that the simulator's gcloud does.
pub(super) static COMMANDS: &[Command] = &[
    // The project, and who one is.
    own("auth application-default print-access-token", local::access_token),
    own("auth list --filter=", local::accounts),
    own("auth print-access-token [ACCOUNT]", local::access_token),
    own("config configurations activate NAME", local::activate_configuration),
    own("config configurations create NAME --[no-]activate", local::create_configuration),
    own("config configurations list --filter=", local::configurations),
    own("config get PROPERTY", local::get_property),
    own("config get-value PROPERTY", local::get_property),
    own("config set PROPERTY VALUE", local::set_property),
    own("config unset PROPERTY", local::unset_property),
    own("projects add-iam-policy-binding PROJECT --role=! --member=! --condition=", policy::add),
    own("projects create PROJECT --name= --set-as-default", projects::create),
    own("projects describe PROJECT", projects::describe),
    own("projects get-iam-policy PROJECT --filter=", policy::get),
    own("projects list --filter=", projects::list),
    own("projects remove-iam-policy-binding PROJECT --role=! --member=! --condition= --all", policy::remove),
    own("projects set-iam-policy PROJECT @POLICY_FILE", policy::set),
    own("services enable SERVICE... --async", projects::enable_services),
    own("services list --enabled --filter=", projects::list_services),
    // Service accounts.
    own("iam service-accounts add-iam-policy-binding ACCOUNT --role=! --member=! --condition=", policy::add),
    own("iam service-accounts create NAME --display-name= --description=", projects::create_account),
    own("iam service-accounts delete ACCOUNT", projects::delete_account),
    own("iam service-accounts describe ACCOUNT", projects::describe_account),
    own("iam service-accounts disable ACCOUNT", projects::disable_account),
    own("iam service-accounts enable ACCOUNT", projects::enable_account),
    own("iam service-accounts get-iam-policy ACCOUNT --filter=", policy::get),
    own("iam service-accounts list --filter=", projects::list_accounts),
    own(
        "iam service-accounts remove-iam-policy-binding ACCOUNT --role=! --member=! --condition= --all",
        policy::remove,
    ),
    // Workload identity.
    own(
        "iam workload-identity-pools create POOL --location=! --display-name= --description= --disabled",
        identity::create_pool,
    ),
    own("iam workload-identity-pools delete POOL --location=!", identity::delete_pool),
    own("iam workload-identity-pools describe POOL --location=!", identity::describe_pool),
    own("iam workload-identity-pools list --location=! --filter=", identity::list_pools),
    own("iam workload-identity-pools undelete POOL --location=!", identity::undelete_pool),
    own(
        "iam workload-identity-pools update POOL --location=! --display-name= --description= --[no-]disabled",
        identity::update_pool,
    ),
    own(
        "iam workload-identity-pools providers create-oidc PROVIDER --workload-identity-pool=! --location=! --issuer-uri=! \
         --allowed-audiences= --attribute-mapping=! --attribute-condition= --display-name= --description= --disabled",
        identity::create_provider,
    ),
    own(
        "iam workload-identity-pools providers delete PROVIDER --workload-identity-pool=! --location=!",
        identity::delete_provider,
    ),
    own(
        "iam workload-identity-pools providers describe PROVIDER --workload-identity-pool=! --location=!",
        identity::describe_provider,
    ),
    own(
        "iam workload-identity-pools providers list --workload-identity-pool=! --location=! --filter=",
        identity::list_providers,
    ),
    own(
        "iam workload-identity-pools providers undelete PROVIDER --workload-identity-pool=! --location=!",
        identity::undelete_provider,
    ),
    own(
        "iam workload-identity-pools providers update-oidc PROVIDER --workload-identity-pool=! --location=! --issuer-uri= \
         --allowed-audiences= --attribute-mapping= --attribute-condition= --display-name= --description= --[no-]disabled",
        identity::update_provider,
    ),
    // Cloud KMS.
    own("kms decrypt --key=! --keyring=! --location=! --ciphertext-file=@! --plaintext-file=!", kms::decrypt),
    own("kms encrypt --key=! --keyring=! --location=! --plaintext-file=@! --ciphertext-file=!", kms::encrypt),
    own("kms keyrings create KEYRING --location=!", kms::create_ring),
    own("kms keyrings describe KEYRING --location=!", kms::describe_ring),
    own("kms keyrings list --location=! --filter=", kms::list_rings),
    own("kms keys add-iam-policy-binding KEY --keyring=! --location=! --role=! --member=! --condition=", policy::add),
    own(
        "kms keys create KEY --keyring=! --location=! --purpose=! --default-algorithm= --protection-level=",
        kms::create_key,
    ),
    own("kms keys describe KEY --keyring=! --location=!", kms::describe_key),
    own("kms keys get-iam-policy KEY --keyring=! --location=! --filter=", policy::get),
    own("kms keys list --keyring=! --location=! --filter=", kms::list_keys),
    own(
        "kms keys remove-iam-policy-binding KEY --keyring=! --location=! --role=! --member=! --condition= --all",
        policy::remove,
    ),
    own("kms keys set-iam-policy KEY @POLICY_FILE --keyring=! --location=!", policy::set),
    own("kms keys versions create --key=! --keyring=! --location=! --primary", kms::create_version),
    own("kms keys versions describe VERSION --key=! --keyring=! --location=!", kms::describe_version),
    own("kms keys versions destroy VERSION --key=! --keyring=! --location=!", kms::destroy_version),
    own("kms keys versions disable VERSION --key=! --keyring=! --location=!", kms::disable_version),
    own("kms keys versions enable VERSION --key=! --keyring=! --location=!", kms::enable_version),
    own("kms keys versions get-public-key VERSION --key=! --keyring=! --location=! --output-file=", kms::public_key),
    own("kms keys versions list --key=! --keyring=! --location=! --filter=", kms::list_versions),
    own("kms keys versions restore VERSION --key=! --keyring=! --location=!", kms::restore_version),
    // Pub/Sub.
    own("pubsub subscriptions add-iam-policy-binding SUBSCRIPTION --role=! --member=!", policy::add),
    own(
        "pubsub subscriptions create SUBSCRIPTION --topic=! --ack-deadline= --expiration-period= --dead-letter-topic= \
         --max-delivery-attempts= --message-retention-duration= --enable-message-ordering --[no-]enable-exactly-once-delivery \
         --message-filter=",
        pubsub::create_subscription,
    ),
    own("pubsub subscriptions delete SUBSCRIPTION", pubsub::delete_subscription),
    own("pubsub subscriptions describe SUBSCRIPTION", pubsub::describe_subscription),
    own("pubsub subscriptions get-iam-policy SUBSCRIPTION --filter=", policy::get),
    own("pubsub subscriptions list --filter=", pubsub::list_subscriptions),
    own("pubsub subscriptions pull SUBSCRIPTION --auto-ack --limit= --filter=", pubsub::pull),
    own("pubsub subscriptions remove-iam-policy-binding SUBSCRIPTION --role=! --member=!", policy::remove),
    own("pubsub subscriptions set-iam-policy SUBSCRIPTION @POLICY_FILE", policy::set),
    own(
        "pubsub subscriptions update SUBSCRIPTION --ack-deadline= --expiration-period= --dead-letter-topic= \
         --max-delivery-attempts= --clear-dead-letter-policy --message-retention-duration= \
         --[no-]enable-exactly-once-delivery",
        pubsub::update_subscription,
    ),
    own("pubsub topics add-iam-policy-binding TOPIC --role=! --member=!", policy::add),
    own("pubsub topics create TOPIC", pubsub::create_topic),
    own("pubsub topics delete TOPIC", pubsub::delete_topic),
    own("pubsub topics describe TOPIC", pubsub::describe_topic),
    own("pubsub topics get-iam-policy TOPIC --filter=", policy::get),
    own("pubsub topics list --filter=", pubsub::list_topics),
    own("pubsub topics publish TOPIC --message= --attribute=", pubsub::publish),
    own("pubsub topics remove-iam-policy-binding TOPIC --role=! --member=!", policy::remove),
    own("pubsub topics set-iam-policy TOPIC @POLICY_FILE", policy::set),
    // Buckets, repositories and secrets.
    own("storage buckets add-iam-policy-binding URL --role=! --member=! --condition=", policy::add),
    own(
        "storage buckets create URL --location= --[no-]uniform-bucket-level-access --[no-]public-access-prevention",
        storage::create_bucket,
    ),
    own("storage buckets describe URL", storage::describe_bucket),
    own("storage buckets get-iam-policy URL", policy::get),
    own("storage buckets list --filter=", storage::list_buckets),
    own("storage buckets remove-iam-policy-binding URL --role=! --member=! --condition= --all", policy::remove),
    own(
        "storage buckets update URL --[no-]uniform-bucket-level-access --[no-]public-access-prevention",
        storage::update_bucket,
    ),
    own("storage rm URL --recursive", storage::remove_bucket),
    own(
        "artifacts repositories add-iam-policy-binding REPOSITORY --location=! --role=! --member=! --condition=",
        policy::add,
    ),
    record(
        "artifacts repositories create REPOSITORY --location=! --repository-format=! --description= --[no-]immutable-tags \
         --async",
        Verb::Create,
        &records::REPOSITORY,
    ),
    record("artifacts repositories delete REPOSITORY --location=! --async", Verb::Delete, &records::REPOSITORY),
    record("artifacts repositories describe REPOSITORY --location=!", Verb::Describe, &records::REPOSITORY),
    own("artifacts repositories get-iam-policy REPOSITORY --location=! --filter=", policy::get),
    record("artifacts repositories list --location= --filter=", Verb::List, &records::REPOSITORY),
    own(
        "artifacts repositories remove-iam-policy-binding REPOSITORY --location=! --role=! --member=! --condition= --all",
        policy::remove,
    ),
    own("artifacts repositories set-iam-policy REPOSITORY @POLICY_FILE --location=!", policy::set),
    record(
        "artifacts repositories update REPOSITORY --location=! --[no-]immutable-tags",
        Verb::Update,
        &records::REPOSITORY,
    ),
    own("secrets add-iam-policy-binding SECRET --role=! --member=! --condition=", policy::add),
    own("secrets create SECRET --data-file=@! --replication-policy=", storage::create_secret),
    own("secrets get-iam-policy SECRET --filter=", policy::get),
    own("secrets remove-iam-policy-binding SECRET --role=! --member=! --condition= --all", policy::remove),
    // Machines.
    own(
        "compute instances create NAME --zone=! --machine-type= --confidential-compute --confidential-compute-type= \
         --[no-]shielded-secure-boot --shielded-vtpm --maintenance-policy= --scopes= --service-account=! --network= --subnet= \
         --no-address --tags= --image-project=! --image-family=! --metadata=",
        compute::create,
    ),
    own("compute instances delete NAME --zone=!", compute::delete),
    own("compute instances describe NAME --zone=!", compute::describe),
    own("compute instances get-serial-port-output NAME --zone=! --port=", compute::serial_port),
    own("compute instances list --filter=", compute::list),
    own("logging read [FILTER] --limit= --order=", compute::logs),
    record(
        "compute instance-templates create NAME --region= --machine-type= --confidential-compute-type= \
         --[no-]shielded-secure-boot --maintenance-policy= --scopes= --service-account=! --network= --subnet= --no-address \
         --tags= --image-project=! --image-family=! --metadata=",
        Verb::Create,
        &compute::TEMPLATE,
    ),
    record("compute instance-templates delete NAME", Verb::Delete, &compute::TEMPLATE),
    record("compute instance-templates describe NAME", Verb::Describe, &compute::TEMPLATE),
    record("compute instance-groups managed create NAME --zone=! --template=! --size=!", Verb::Create, &records::GROUP),
    record("compute instance-groups managed delete NAME --zone=!", Verb::Delete, &records::GROUP),
    record("compute instance-groups managed describe NAME --zone=!", Verb::Describe, &records::GROUP),
    record("compute instance-groups managed resize NAME --zone=! --size=!", Verb::Update, &records::GROUP),
    record(
        "compute instance-groups managed rolling-action start-update NAME --zone=! --version=! --max-unavailable= \
         --replacement-method=",
        Verb::Update,
        &records::GROUP,
    ),
    // Networks.
    record("compute addresses create NAME --region=!", Verb::Create, &records::ADDRESS),
    record("compute addresses delete NAME --region=!", Verb::Delete, &records::ADDRESS),
    record("compute addresses describe NAME --region=!", Verb::Describe, &records::ADDRESS),
    record(
        "compute firewall-rules create NAME --network= --direction= --allow=! --target-tags= --source-ranges= --[no-]disabled",
        Verb::Create,
        &records::FIREWALL,
    ),
    record("compute firewall-rules delete NAME", Verb::Delete, &records::FIREWALL),
    record("compute firewall-rules describe NAME", Verb::Describe, &records::FIREWALL),
    record(
        "compute firewall-rules update NAME --allow= --target-tags= --source-ranges= --[no-]disabled",
        Verb::Update,
        &records::FIREWALL,
    ),
    record("compute networks create NAME --subnet-mode=", Verb::Create, &records::NETWORK),
    record("compute networks delete NAME", Verb::Delete, &records::NETWORK),
    record("compute networks describe NAME", Verb::Describe, &records::NETWORK),
    record(
        "compute networks subnets create NAME --region=! --network=! --range=! --[no-]enable-private-ip-google-access",
        Verb::Create,
        &records::SUBNET,
    ),
    record("compute networks subnets delete NAME --region=!", Verb::Delete, &records::SUBNET),
    record("compute networks subnets describe NAME --region=!", Verb::Describe, &records::SUBNET),
    record(
        "compute networks subnets update NAME --region=! --[no-]enable-private-ip-google-access",
        Verb::Update,
        &records::SUBNET,
    ),
    record("compute routers create NAME --region=! --network=!", Verb::Create, &records::ROUTER),
    record("compute routers delete NAME --region=!", Verb::Delete, &records::ROUTER),
    record("compute routers describe NAME --region=!", Verb::Describe, &records::ROUTER),
    record(
        "compute routers nats create NAME --router=! --region=! --nat-external-ip-pool=! --nat-all-subnet-ip-ranges",
        Verb::Create,
        &records::NAT,
    ),
    record("compute routers nats delete NAME --router=! --region=!", Verb::Delete, &records::NAT),
    record("compute routers nats describe NAME --router=! --region=!", Verb::Describe, &records::NAT),
    record(
        "compute routers nats update NAME --router=! --region=! --nat-external-ip-pool= --nat-all-subnet-ip-ranges",
        Verb::Update,
        &records::NAT,
    ),
    // Builds, alerts, perimeters.
    record(
        "builds triggers create manual --name=! --region= --repository= --repo= --repo-type= --branch= --build-config= \
         --service-account=",
        Verb::Create,
        &records::TRIGGER,
    ),
    record("builds triggers delete NAME --region=", Verb::Delete, &records::TRIGGER),
    record("builds triggers describe NAME --region=", Verb::Describe, &records::TRIGGER),
    record(
        "access-context-manager perimeters create NAME --policy=! --title=! --resources= --restricted-services= \
         --ingress-policies=@ --enable-vpc-accessible-services --vpc-allowed-services=",
        Verb::Create,
        &records::PERIMETER,
    ),
    record("access-context-manager perimeters delete NAME --policy=!", Verb::Delete, &records::PERIMETER),
    record("access-context-manager perimeters describe NAME --policy=!", Verb::Describe, &records::PERIMETER),
    record(
        "access-context-manager perimeters update NAME --policy=! --set-resources= --set-restricted-services= \
         --set-ingress-policies=@ --enable-vpc-accessible-services --add-vpc-allowed-services= --clear-vpc-allowed-services",
        Verb::Update,
        &records::PERIMETER,
    ),
    own("alpha monitoring policies create --policy=!", projects::create_alert),
    own("alpha monitoring policies delete NAME", projects::delete_alert),
    own("alpha monitoring policies list --filter=", projects::list_alerts),
    own("alpha monitoring policies update NAME --policy=!", projects::update_alert),
];
