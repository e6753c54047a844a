#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Metadata, CreateTopics, DeleteTopics, InitProducerId (protocol.md 3.6).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/run.sh"
wire_run topics "$@"
