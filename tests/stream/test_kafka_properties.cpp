// Properties: secrets stay out of sight, and what the guarantees rest on is not to be changed.
#include <filesystem>

#include "emshap/core/atomic_file.h"
#include "emshap/stream/kafka_properties.h"
#include "stream/ingest_fixture.h"
#include "stream/store_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

template <class F>
std::string config_error(F&& f) {
  try {
    f();
  } catch (const ConfigError& e) {
    return e.what();
  }
  return {};
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("Properties of the command line are KEY=VALUE and no secrets") {
  KafkaProperties p;
  add_property(p, "ssl.cipher.suites = A,B=C ", "--property");
  CHECK(p.at("ssl.cipher.suites") == "A,B=C");
  for (const char* name : {"sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem",
                           "sasl.oauthbearer.config", "sasl.oauthbearer.client.secret"}) {
    CAPTURE(name);
    CHECK(is_secret(name));
    for (const char* value : {"", "=", "=hidden", " hidden", ": hidden", " = hidden"}) {
      const std::string text =
          config_error([&] { add_property(p, name + std::string(value), "--property"); });
      CHECK(has(text, "is a secret"));
      CHECK(!has(text, "hidden"));
    }
  }
  CHECK(has(config_error([&] { add_property(p, "sasl.password=x", "--property"); }),
            "EMSHAP_KAFKA_SASL_PASSWORD"));
  for (const char* name : {"sasl.username", "ssl.key.location", "sasl.oauthbearer.token.endpoint.url",
                           "session.timeout.ms", "sasl.mechanism"})
    CHECK(!is_secret(name));
  CHECK(has(config_error([&] { add_property(p, "nothing", "--property"); }), "not KEY=VALUE"));
  CHECK(has(config_error([&] { add_property(p, "=x", "--property"); }), "a name must stand before"));
  for (const char* name : {"enable.auto.commit", "auto.offset.reset", "enable.auto.offset.store", "group.id",
                           "bootstrap.servers", "enable.partition.eof"})
    CHECK(has(config_error([&] { add_property(p, std::string(name) + "=true", "--property"); }),
              "cannot be set"));
  CHECK(p.size() == 1);
}

TEST_CASE("Files and the environment may hold secrets, which no text shows") {
  const StoreFolder folder;
  write_file_atomically(folder / "kafka.properties",
                        "# for tests\n\n  sasl.username = me\r\nsasl.password=p=ss#1\nssl.ca.location=/x\n");
  KafkaProperties p;
  add_properties_file(p, folder / "kafka.properties");
  CHECK(p.size() == 3);
  CHECK(p.at("sasl.username") == "me");
  CHECK(p.at("sasl.password") == "p=ss#1");
  const char* environment[] = {"HOME=/", "EMSHAP_KAFKA_SASL_PASSWORD=other", "EMSHAP_KAFKAX=1",
                               "EMSHAP_KAFKA_SECURITY_PROTOCOL=sasl_ssl", nullptr};
  add_properties_environment(p, environment);
  CHECK(p.size() == 4);
  CHECK(p.at("sasl.password") == "other");
  CHECK(p.at("security.protocol") == "sasl_ssl");
  CHECK(without_secrets("login of me with other, other", p) == "login of me with ***, ***");

  write_file_atomically(folder / "bad", "a=b\nhalf a secret\n");
  const std::string text = config_error([&] { add_properties_file(p, folder / "bad"); });
  CHECK(has(text, "line 2"));
  CHECK(!has(text, "secret"));
  const char* refused[] = {"EMSHAP_KAFKA_AUTO_OFFSET_RESET=latest", nullptr};
  CHECK(has(config_error([&] { add_properties_environment(p, refused); }),
            "environment variable EMSHAP_KAFKA_AUTO_OFFSET_RESET"));
  CHECK_THROWS_AS(add_properties_file(p, folder / "absent"), IoError);
}

TEST_CASE("Unknown properties and bad values are named") {
  KafkaOptions o;
  const auto open = [&] { KafkaConsumer consumer(o, null_sink()); };
  o.properties = {{"no.such.property", "1"}};
  CHECK(has(config_error(open), "'no.such.property' is not a property of librdkafka"));
  o.properties = {{"fetch.wait.max.ms", "soon"}};
  CHECK(has(config_error(open), "property fetch.wait.max.ms"));
  o.properties = {{"sasl.password", "hidden"}, {"security.protocol", "sasl_ssl"}, {"sasl.mechanism", "NONE"}};
  const std::string text = config_error(open);
  CHECK(text != "");
  CHECK(!has(text, "hidden"));
  o = {};
  o.group = "";
  CHECK(has(config_error(open), "group is empty"));
  o = {};
  o.brokers = "";
  CHECK(has(config_error(open), "expected HOST:PORT"));
  o = {};
  o.topic = "^all";
  CHECK(has(config_error(open), "one topic"));
}
