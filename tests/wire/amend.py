# SPDX-License-Identifier: Apache-2.0
"""
What Kafka's newest schemas have beyond the shared ones: version 1 of
ConsumerGroupDescribe tells which protocol a member speaks.
"""


def amend(j):
    """Changes a schema as it was read from its file, and returns it."""
    if j.get("apiKey") == 69 and j["validVersions"] == "0":
        j["validVersions"] = "0-1"
        groups = [f for f in j["fields"] if f["name"] == "Groups"]
        for g in groups:
            members = [f for f in g["fields"] if f["name"] == "Members"][0]
            members["fields"].append({
                "name": "MemberType", "type": "int8", "versions": "1+",
                "default": "-1", "ignorable": True})
    return j
