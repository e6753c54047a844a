// SPDX-License-Identifier: Apache-2.0
//
// Admin's methods on users' SCRAM credentials.

import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.admin.UserScramCredentialsDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.errors.ResourceNotFoundException;
import org.apache.kafka.common.errors.UnacceptableCredentialException;

final class AdminUsers {
	private AdminUsers() {
	}

	static void add() {
		AdminTest.tests.put("userScramCredentials", AdminUsers::scram);
	}

	private static KafkaFuture<Void> set(String user, ScramMechanism m,
	    int iterations) {
		return AdminTest.admin.alterUserScramCredentials(List.of(
		    new UserScramCredentialUpsertion(user,
		    new ScramCredentialInfo(m, iterations), "secret"))).all();
	}

	private static KafkaFuture<Void> unset(String user, ScramMechanism m) {
		return AdminTest.admin.alterUserScramCredentials(List.of(
		    new UserScramCredentialDeletion(user, m))).all();
	}

	private static List<ScramCredentialInfo> of(String user)
	    throws Exception {
		return Check.get(AdminTest.admin.describeUserScramCredentials(
		    List.of(user)).description(user)).credentialInfos();
	}

	static void scram() throws Exception {
		String user = AdminTest.name("scram");
		ScramCredentialInfo sha256 = new ScramCredentialInfo(
		    ScramMechanism.SCRAM_SHA_256, 4096);
		ScramCredentialInfo sha512 = new ScramCredentialInfo(
		    ScramMechanism.SCRAM_SHA_512, 8192);

		Check.get(set(user, sha256.mechanism(), 4096));
		Check.get(set(user, sha512.mechanism(), 8192));
		Check.until(() -> of(user).size() == 2, "both are there");
		Check.ok(of(user).containsAll(List.of(sha256, sha512)),
		    "credentials: " + of(user));
		Map<String, UserScramCredentialsDescription> all = Check.get(
		    AdminTest.admin.describeUserScramCredentials().all());
		Check.eq(all.get(user).credentialInfos().size(), 2, "of all");
		Check.fails(UnacceptableCredentialException.class, set(user,
		    sha256.mechanism(), 1), "one iteration");
		Check.fails(UnacceptableCredentialException.class, set("",
		    sha256.mechanism(), 4096), "no user");
		Check.get(unset(user, sha256.mechanism()));
		Check.until(() -> of(user).equals(List.of(sha512)), "one");
		Check.fails(ResourceNotFoundException.class, unset(user,
		    sha256.mechanism()), "deleted again");
		Check.get(unset(user, sha512.mechanism()));
		Check.until(() -> !Check.get(AdminTest.admin
		    .describeUserScramCredentials().users()).contains(user),
		    "none");
		Check.fails(ResourceNotFoundException.class, AdminTest.admin
		    .describeUserScramCredentials(List.of(user))
		    .description(user), "an unknown user");
	}
}
