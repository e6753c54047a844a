// SPDX-License-Identifier: Apache-2.0
//
// How the tools of Kafka 4 end the process: here they end the tool alone.

import org.apache.kafka.common.utils.internals.Exit;

final class Exits {
	private Exits() {
	}

	static void replace() {
		Exit.setExitProcedure((code, message) -> Tools.exit(code));
		Exit.setHaltProcedure((code, message) -> Tools.exit(code));
		Exit.setShutdownHookAdder((name, hook) -> Tools.hook(hook));
	}
}
