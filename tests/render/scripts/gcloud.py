#!/usr/bin/env python3
"""A gcloud that keeps its cloud in a file: the commands that rendered scripts use, with Google's names in what it shows.

Environment: FAKE_GCLOUD_STATE is the file. What was called is appended to FAKE_GCLOUD_STATE.calls, and what was printed in
which format to FAKE_GCLOUD_STATE.formats, both as lines of JSON, so that the real gcloud's parser and printer can judge them.
FAKE_GCLOUD_DENY: a group of commands for which the caller has no rights.
"""

import json
import os
import re
import sys

PATH = os.environ["FAKE_GCLOUD_STATE"]
# Flags that say where something is, so that they are part of its name.
WHERE = ["project", "location", "region", "zone", "keyring", "key", "workload-identity-pool", "router", "policy"]
VERBS = {
    "describe", "create", "update", "delete", "undelete", "enable", "list", "destroy", "resize", "rm",
    "create-oidc", "update-oidc", "start-update", "get-iam-policy", "set-iam-policy", "add-iam-policy-binding",
    "remove-iam-policy-binding", "read",
}
READS = {"describe", "list", "get-iam-policy", "read"}


def fail(text, status=1):
    sys.stderr.write(f"ERROR: (gcloud) {text}\n")
    sys.exit(status)


def split(argv):
    words, flags = [], {}
    for argument in argv:
        if argument.startswith("--"):
            name, _, value = argument[2:].partition("=")
            flags[name] = value if "=" in argument else True
        else:
            words.append(argument)
    verb = next((index for index, word in enumerate(words) if word in VERBS), None)
    if verb is None:
        fail(f"no verb in {words}", 2)
    group, rest = words[:verb], words[verb + 1:]
    if group[-1:] == ["rolling-action"]:
        group = group[:-1]
    if rest[:1] == ["manual"]:
        rest = rest[1:]
    return " ".join(group), words[verb], rest, flags


def name_of(group, positional, flags):
    where = [f"{flag}={flags[flag]}" for flag in WHERE if flag in flags]
    # Buckets are named everywhere; projects too. Templates know no region.
    if group in ("storage buckets", "projects"):
        where = []
    if group == "compute instance-templates":
        where = [f"project={flags['project']}"]
    if group == "iam service-accounts":
        positional = positional.split("@")[0]
    return "|".join([group, positional.removeprefix("gs://"), *where])


def listed(text):
    return [part for part in str(text).split(",") if part]


def mapping(text):
    text = str(text)
    separator = ","
    if text.startswith("^"):
        _, separator, text = text.split("^", 2)
    return dict(part.split("=", 1) for part in text.split(separator))


def boolean(flags, name, old=False):
    return True if flags.get(name) else False if flags.get("no-" + name) else old


def machine(flags):
    return {
        "machineType": f"https://c/machineTypes/{flags['machine-type']}",
        "confidentialInstanceConfig": {"confidentialInstanceType": flags["confidential-compute-type"]},
        "shieldedInstanceConfig": {"enableSecureBoot": boolean(flags, "shielded-secure-boot")},
        "serviceAccounts": [{"email": flags["service-account"], "scopes": listed(flags["scopes"])}],
        "networkInterfaces": [
            {"subnetwork": f"https://c/subnetworks/{flags['subnet']}"}
            | ({} if flags.get("no-address") else {"accessConfigs": [{"name": "external-nat"}]})
        ],
        "tags": {"items": listed(flags["tags"])},
        "metadata": {"items": [{"key": key, "value": value} for key, value in mapping(flags["metadata"]).items()]},
    }


def content(group, positional, flags, old):
    """What is shown of a thing that these flags make or change."""
    thing = dict(old)
    project = flags.get("project")
    if group == "iam service-accounts":
        thing |= {"disabled": False}
    elif group == "artifacts repositories":
        if "repository-format" in flags:
            thing["format"] = flags["repository-format"].upper()
        thing["dockerConfig"] = {"immutableTags": boolean(flags, "immutable-tags")} if old else {}
    elif group == "kms keys":
        signing = flags["purpose"] == "asymmetric-signing"
        thing |= {
            "purpose": "ASYMMETRIC_SIGN" if signing else "ENCRYPT_DECRYPT",
            "versionTemplate": {
                "algorithm": flags["default-algorithm"].upper().replace("-", "_"),
                "protectionLevel": flags["protection-level"].upper(),
            },
        }
    elif group == "storage buckets":
        thing |= {"uniform_bucket_level_access": True, "public_access_prevention": "enforced"}
    elif group == "builds triggers":
        repository = {"repository": flags["repository"]} if "repository" in flags else {"uri": flags["repo"]}
        thing |= {
            "gitFileSource": {"path": flags["build-config"]} | repository,
            "sourceToBuild": {"ref": "refs/heads/" + flags["branch"]} | repository,
            "serviceAccount": flags["service-account"],
        }
    elif group == "compute networks":
        thing["autoCreateSubnetworks"] = flags.get("subnet-mode") != "custom"
    elif group == "compute networks subnets":
        if not old:
            thing |= {"network": f"https://c/networks/{flags['network']}", "ipCidrRange": flags["range"]}
        thing["privateIpGoogleAccess"] = boolean(flags, "enable-private-ip-google-access", old.get("privateIpGoogleAccess", False))
    elif group == "compute addresses":
        thing["address"] = "203.0.113.9"
    elif group == "compute routers":
        thing["network"] = f"https://c/networks/{flags['network']}"
    elif group == "compute routers nats":
        thing |= {
            "natIps": [f"https://c/addresses/{ip}" for ip in listed(flags["nat-external-ip-pool"])],
            "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
        }
    elif group == "compute firewall-rules":
        protocol, _, port = flags["allow"].partition(":")
        thing |= {
            "direction": flags.get("direction", old.get("direction")),
            "allowed": [{"IPProtocol": protocol, "ports": [port]}],
            "targetTags": listed(flags["target-tags"]),
            "sourceRanges": listed(flags["source-ranges"]),
            "disabled": False,
        }
        if "network" in flags:
            thing["network"] = f"https://c/networks/{flags['network']}"
    elif group == "pubsub topics":
        thing["name"] = f"projects/{project}/topics/{positional}"
    elif group == "pubsub subscriptions":
        thing |= {"ackDeadlineSeconds": int(flags["ack-deadline"]), "expirationPolicy": {}}
        if "topic" in flags:
            thing["topic"] = flags["topic"]
        if "dead-letter-topic" in flags:
            thing["deadLetterPolicy"] = {
                "deadLetterTopic": flags["dead-letter-topic"],
                "maxDeliveryAttempts": int(flags["max-delivery-attempts"]),
            }
        elif "clear-dead-letter-policy" in flags or not old:
            thing.pop("deadLetterPolicy", None)
    elif group == "iam workload-identity-pools":
        thing |= {"state": "ACTIVE"}
    elif group == "iam workload-identity-pools providers":
        thing |= {
            "state": "ACTIVE",
            "oidc": {"issuerUri": flags["issuer-uri"], "allowedAudiences": listed(flags["allowed-audiences"])},
            "attributeMapping": mapping(flags["attribute-mapping"]),
            "attributeCondition": flags["attribute-condition"],
        }
        thing.pop("disabled", None)
    elif group in ("compute instances", "compute instance-templates"):
        thing |= machine(flags)
        if "zone" in flags:
            thing["zone"] = f"https://c/zones/{flags['zone']}"
    elif group == "compute instance-groups managed":
        template = flags.get("template") or (flags.get("version") or "").removeprefix("template=")
        if template:
            thing["instanceTemplate"] = f"https://c/instanceTemplates/{template}"
        if "size" in flags:
            thing["targetSize"] = int(flags["size"])
    elif group == "access-context-manager perimeters":
        status = dict(old.get("status", {}))
        for flag, member in [("resources", "resources"), ("restricted-services", "restrictedServices")]:
            given = flags.get(flag) or flags.get("set-" + flag)
            if given:
                status[member] = listed(given)
        rules = flags.get("ingress-policies") or flags.get("set-ingress-policies")
        if rules:
            with open(rules, encoding="utf-8") as file:
                status["ingressPolicies"] = json.load(file)
        if flags.get("enable-vpc-accessible-services"):
            before = status.get("vpcAccessibleServices", {}).get("allowedServices", [])
            more = listed(flags.get("vpc-allowed-services") or flags.get("add-vpc-allowed-services") or "")
            allowed = [] if flags.get("clear-vpc-allowed-services") else before + more
            status["vpcAccessibleServices"] = {"enableRestriction": True, "allowedServices": allowed}
        thing["status"] = status
    return thing


# What must be there before, and what must be gone before its own removal: (group, flag that names it).
PARENTS = {
    "kms keys": ("kms keyrings", "keyring", ["location", "project"]),
    "iam workload-identity-pools providers": ("iam workload-identity-pools", "workload-identity-pool", ["project", "location"]),
    "compute networks subnets": ("compute networks", "network", ["project"]),
    "compute routers": ("compute networks", "network", ["project"]),
    "compute routers nats": ("compute routers", "router", ["project", "region"]),
    "compute firewall-rules": ("compute networks", "network", ["project"]),
    "compute instances": ("compute networks subnets", "subnet", ["project", "region"]),
    "compute instance-groups managed": ("compute instance-templates", "template", ["project"]),
}


def parent(group, flags):
    above = PARENTS.get(group)
    if above is None or above[1] not in flags:
        return None
    flags = dict(flags)
    if group == "compute instances":
        flags["region"] = flags["zone"].rsplit("-", 1)[0]
    only = {flag: flags[flag] for flag in above[2]}
    return name_of(above[0], flags[above[1]], only)


# --format and --flatten.


def value(thing, path):
    for part in re.findall(r"\w+\(\)|\w+|\[\d+\]", path):
        if thing is None:
            return None
        if part == "basename()":
            thing = str(thing).rsplit("/", 1)[-1]
        elif part.startswith("["):
            index = int(part[1:-1])
            thing = thing[index] if isinstance(thing, list) and index < len(thing) else None
        else:
            thing = thing.get(part) if isinstance(thing, dict) else None
    return thing


def text(thing):
    if thing is None:
        return ""
    if isinstance(thing, list):
        return ";".join(text(item) if not isinstance(item, dict) else str(item) for item in thing)
    if isinstance(thing, dict):
        return ";".join(f"{key}={text(thing[key])}" for key in sorted(thing))
    return str(thing)


def flattened(things, path):
    """One thing for each element of the lists on the path; one without the element where there is no list."""
    keys = []
    for step in path.split("[]"):
        if not step.strip("."):
            continue
        keys += step.strip(".").split(".")
        rows = []
        for thing in things:
            for item in value(thing, ".".join(keys)) or [None]:
                copy = json.loads(json.dumps(thing))
                inner = copy
                for key in keys[:-1]:
                    inner = inner.setdefault(key, {}) or {}
                inner[keys[-1]] = item
                rows.append(copy)
        things = rows
    return things


def show(things, flags):
    original = things
    if "flatten" in flags:
        things = flattened(things, flags["flatten"])
    form = flags["format"]
    lines = []
    if form == "yaml":
        print(yaml(things[0]), end="")
        return
    fields = re.match(r"value\((.*)\)$", form).group(1).split(",")
    for thing in things:
        lines.append("\t".join(text(value(thing, field)) for field in fields))
    out = "".join(line + "\n" for line in lines)
    sys.stdout.write(out)
    record("formats", {"things": original, "flatten": flags.get("flatten"), "format": form, "printed": out})


def yaml(thing, indent=0, key=None):
    """As gcloud prints it: keys in order, lists not indented."""
    pad = " " * indent
    lines = ""
    for name in sorted(thing):
        item = thing[name]
        if isinstance(item, list):
            lines += f"{pad}{name}:\n"
            for element in item:
                if isinstance(element, dict):
                    body = yaml(element, indent + 2)
                    lines += pad + "- " + body[indent + 2:]
                else:
                    lines += f"{pad}- {element}\n"
        elif isinstance(item, dict):
            lines += f"{pad}{name}:\n" + yaml(item, indent + 2)
        else:
            lines += f"{pad}{name}: {item}\n"
    return lines


def unyaml(source):
    """What yaml() wrote, and what the scripts add to it."""
    def block(lines, indent):
        thing = {}
        while lines:
            line = lines[0]
            depth = len(line) - len(line.lstrip())
            if depth < indent or line.lstrip().startswith("- "):
                break
            lines.pop(0)
            name, _, rest = line.strip().partition(":")
            if rest.strip():
                thing[name] = rest.strip()
                continue
            items = []
            while lines and lines[0].startswith(" " * indent + "- "):
                lines[0] = " " * (indent + 2) + lines[0][indent + 2:]
                first = lines[0].strip()
                if re.match(r"\w+:( |$)", first):
                    items.append(block(lines, indent + 2))
                else:
                    items.append(first)
                    lines.pop(0)
            thing[name] = items
        return thing

    return block([line for line in source.split("\n") if line.strip()], 0)


def record(what, line):
    with open(f"{PATH}.{what}", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def main():
    argv = sys.argv[1:]
    group, verb, rest, flags = split(argv)
    record("calls", argv)
    if os.environ.get("FAKE_GCLOUD_DENY") and group.startswith(os.environ["FAKE_GCLOUD_DENY"]):
        fail("PERMISSION_DENIED: Permission denied on resource (or it may not exist).")
    with open(PATH, encoding="utf-8") as file:
        state = json.load(file)
    things, policies = state["things"], state["policies"]
    positional = rest[0] if rest else flags.get("name", "")
    name = name_of(group, positional, flags)
    if group == "kms keys versions":
        name = name_of("kms keys", flags["key"], {k: v for k, v in flags.items() if k != "key"})

    def need():
        if name not in things:
            fail(f"NOT_FOUND: {positional} was not found")
        return things[name]

    if group == "services":
        enabled = state["services"].setdefault(flags["project"], [])
        if verb == "list":
            show([{"config": {"name": service}} for service in enabled], flags)
        else:
            enabled.extend(rest)
    elif verb == "get-iam-policy":
        need()
        policy = policies.get(name, {"etag": "BwX", "version": 1})
        show([policy], flags)
    elif verb == "set-iam-policy":
        with open(rest[1], encoding="utf-8") as file:
            new = unyaml(file.read())
        if new.get("etag") != policies.get(name, {"etag": "BwX"}).get("etag"):
            fail("ABORTED: etag")
        policies[name] = new
    elif verb in ("add-iam-policy-binding", "remove-iam-policy-binding"):
        need()
        policy = policies.setdefault(name, {"etag": "BwX", "version": 1})
        bindings = policy.setdefault("bindings", [])
        role, member = flags["role"], flags["member"]
        holding = [b for b in bindings if b["role"] == role and (flags.get("all") or "condition" not in b)]
        if verb.startswith("add"):
            if not holding:
                holding = [{"role": role, "members": []}]
                bindings.extend(holding)
            holding[0]["members"].append(member)
        else:
            if not any(member in binding["members"] for binding in holding):
                fail(f"binding of {member} not in the policy")
            for binding in holding:
                binding["members"] = [other for other in binding["members"] if other != member]
            policy["bindings"] = [binding for binding in bindings if binding["members"]]
    elif group == "alpha monitoring policies":
        alerts = state["alerts"].setdefault(flags["project"], [])
        if verb == "list":
            wanted = re.match(r'displayName="(.*)"$', flags["filter"]).group(1)
            show([alert for alert in alerts if alert["displayName"] == wanted], flags)
        elif verb == "delete":
            alerts[:] = [alert for alert in alerts if alert["name"] != positional]
        else:
            alert = json.loads(flags["policy"])
            alert["name"] = positional or f"projects/{flags['project']}/alertPolicies/{len(alerts) + 1}"
            alerts[:] = [other for other in alerts if other["name"] != alert["name"]] + [alert]
    elif group == "kms keys versions":
        key = need()
        versions = key.setdefault("versions", [])
        if verb == "list":
            show([version for version in versions if version["state"] == "ENABLED"], flags)
        else:
            for version in versions:
                if version["name"].endswith("/" + positional):
                    version["state"] = "DESTROY_SCHEDULED"
    elif group == "logging":
        # Who decrypted, by project; the filter asks for one of them.
        wanted = re.search(r'principalSubject:"(.*?)"', rest[0]).group(1)
        used = state.get("used", {}).get(flags["project"], [])
        show([{"timestamp": "2026-01-01T00:00:00Z"} for subject in used if wanted in subject][:int(flags["limit"])], flags)
    elif group == "compute instances" and verb == "list":
        here = f"|project={flags['project']}|"
        show([thing for name, thing in sorted(things.items()) if name.startswith(group + "|") and here in name], flags)
    elif group == "storage" and verb == "rm":
        name = name_of("storage buckets", positional, {})
        need()
        del things[name]
    elif verb == "describe":
        show([need()], flags)
    elif verb in ("create", "create-oidc"):
        if name in things:
            fail(f"ALREADY_EXISTS: {positional}")
        above = parent(group, flags)
        if above is not None and above not in things:
            fail(f"FAILED_PRECONDITION: {above} must be made first")
        things[name] = {"name": positional} | content(group, positional, flags, {})
        if group == "kms keys":
            things[name]["versions"] = [{"name": "k/cryptoKeyVersions/1", "state": "ENABLED"}]
        things[name]["above"] = above
    elif verb in ("update", "update-oidc", "resize", "start-update", "enable"):
        old = need()
        things[name] = old | content(group, positional, flags, old)
    elif verb == "undelete":
        need()["state"] = "ACTIVE"
    elif verb == "delete":
        need()
        below = [other for other, thing in things.items() if thing.get("above") == name and thing.get("state") != "DELETED"]
        if below and group != "compute routers":
            fail(f"FAILED_PRECONDITION: {name} is used by {below}")
        if group.startswith("iam workload-identity-pools"):
            things[name]["state"] = "DELETED"
        else:
            del things[name]
            policies.pop(name, None)
    else:
        fail(f"unknown: {argv}", 2)
    if verb not in READS:
        with open(PATH + ".new", "w", encoding="utf-8") as file:
            json.dump(state, file, indent=1, sort_keys=True)
        os.replace(PATH + ".new", PATH)


main()
