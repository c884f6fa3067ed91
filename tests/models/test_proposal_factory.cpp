#include "emshap/models/proposal_factory.h"

#include "emshap/models/masked_mlp.h"
#include "emshap/models/set_gru.h"
#include "proposal_contract.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE("the factory makes the engine asked for, with its defaults or the caller's sizes") {
  ProposalOptions o;
  o.layout = mixed_layout(6);
  o.base = correlated_base(6);
  o.seed = 9;
  const auto gru = make_proposal(o);
  const auto* set_gru = dynamic_cast<const SetGru*>(gru.get());
  REQUIRE(set_gru != nullptr);
  CHECK(set_gru->options().hidden == 64);
  CHECK(set_gru->options().embedding == 16);
  CHECK(set_gru->options().components == 5);
  CHECK(set_gru->options().seed == 9);
  CHECK(set_gru->options().layout == o.layout);
  o.kind = ProposalKind::mlp;
  const auto mlp = make_proposal(o, DType::f64);
  REQUIRE(dynamic_cast<const MaskedMlp*>(mlp.get()) != nullptr);
  CHECK(mlp->context_width() == 128);
  CHECK(mlp->dtype() == DType::f64);
  for (const ProposalKind kind : {ProposalKind::gru, ProposalKind::mlp}) {
    o.kind = kind;
    o.hidden = 7;
    o.components = 3;
    o.embedding = 4;
    const auto p = make_proposal(o);
    CHECK(p->context_width() == 7);
    CHECK(p->components() == 3);
    CHECK(p->layout() == o.layout);
    CHECK(parse_proposal_kind(to_string(kind)) == kind);
  }
  o.hidden = -1;
  CHECK_THROWS_AS(make_proposal(o), ConfigError);
  CHECK_THROWS_WITH_AS(parse_proposal_kind("lstm"), "proposal 'lstm' is not known, expected gru or mlp",
                       ConfigError);
}
