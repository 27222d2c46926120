// The tree keeps to gateway/README.md's table; and the checker that says so finds what is wrong
// with made-up trees.

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "unit/floors/checker.h"
#include "unit/floors/tree.h"

namespace gw::floors {
namespace {
namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Floors, theTreeKeepsToTheTable) {
  const Problems problems = check(GW_SOURCE_ROOT);
  for (const auto& problem : problems) ADD_FAILURE() << problem;
}

// A small tree that keeps all rules, to be spoilt by each test in one way.
class MadeUpTree : public ::testing::Test {
 protected:
  MadeUpTree() {
    write("gateway/README.md",
          "| floor | room | may use | purpose |\n|---|---|---|---|\n"
          "| ground | `base` | | bytes |\n"
          "| | `telemetry` | base | logs |\n"
          "| | `crypto` (pure) | base | hashes |\n"
          "| truth | `store` | crypto | rows |\n"
          "| motion | `user` | `store`, proto_rows | one user |\n"
          "| doors | `adapter` | base | the seam |\n"
          "| beside | `adapters/*` | adapter | formats |\n"
          "| | `adapters/registry` | adapters/* | the list |\n"
          "| | `settings` | base | settings |\n"
          "| | `main` | all | the program |\n"
          "| | `tests/whatsapp_sim` | crypto | the far side |\n");
    for (const char* room : {"base", "telemetry", "crypto", "store", "user", "adapter"}) {
      const std::string folder = std::string("gateway/") + room;
      write(folder + "/README.md", "# A room\n");
      write(folder + "/" + room + ".h", "#pragma once\n");
    }
    write("gateway/crypto/CMakeLists.txt", "gw_room(crypto DEPENDS base LIBS z)\n");
    write("gateway/store/CMakeLists.txt", "gw_room(store DEPENDS base crypto  # why\n  LIBS z)\n");
    write("gateway/user/CMakeLists.txt", "gw_room(user DEPENDS store proto_rows)\n");
    write("gateway/user/user.cpp",
          "#include \"user/user.h\"\n#include \"rows.h\"\n#include \"crypto/crypto.h\"\n"
          "#include \"telemetry/telemetry.h\"\n#include \"interop/rows/v1/rows.pb.h\"\n"
          "#include <vector>\n#include \"sqlite3.h\"\n");
    write("gateway/user/rows.h", "#pragma once\n");
    write("gateway/settings.h", "#pragma once\n");
    write("gateway/settings_yaml.cpp", "#include \"settings.h\"\n#include \"base/base.h\"\n");
    write("gateway/main.cpp", "#include \"user/user.h\"\n#include \"registry.h\"\n");
    write("proto/interop/rows/v1/rows.proto", "syntax = \"proto3\";\n");
    write("proto/whatsapp/e2e.proto", "syntax = \"proto3\";\n");
    write("adapters/registry.h", "#include \"native/native.h\"\n");
    write("adapters/native/native.h", "#include \"adapter/adapter.h\"\n");
    write("adapters/native/README.md", "# native\n");
    write("adapters/native/CMakeLists.txt", "target_link_libraries(x gw_adapter gw_flags)\n");
    write("tests/whatsapp_sim/README.md", "# The far side\n");
    write("tests/whatsapp_sim/main.cpp", "#include \"crypto/crypto.h\"\n");
  }
  ~MadeUpTree() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void replace_row(const std::string& from, const std::string& to) {
    std::ifstream in(root_ / "gateway/README.md");
    std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos);
    write("gateway/README.md", text.replace(at, from.size(), to));
  }
  Problems problems() const { return check(root_); }

 private:
  static fs::path make_root() {
    std::string name = (fs::temp_directory_path() / "floors-XXXXXX").string();
    return mkdtemp(name.data());
  }
  const fs::path root_ = make_root();
};

TEST_F(MadeUpTree, isCleanAsItStands) { EXPECT_THAT(problems(), IsEmpty()); }

TEST_F(MadeUpTree, anIncludeUpwardsIsFound) {
  write("gateway/store/up.cpp", "// why\n#include \"user/user.h\"\n");
  EXPECT_THAT(problems(),
              ElementsAre(HasSubstr("gateway/store/up.cpp:2: store may not include user/user.h")));
}

TEST_F(MadeUpTree, aPureRoomSeesNoTelemetryAndNoInputOrOutput) {
  write("gateway/crypto/log.cpp", "#include \"telemetry/telemetry.h\"\n#include <fstream>\n");
  EXPECT_THAT(problems(),
              ElementsAre(HasSubstr("log.cpp:1: crypto may not include telemetry/telemetry.h"),
                          HasSubstr("log.cpp:2: a pure room may not include fstream")));
}

TEST_F(MadeUpTree, aRelativeIncludeDoesNotHide) {
  write("gateway/store/up.cpp", "#include \"../user/user.h\"\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("store may not include ../user/user.h of user")));
}

TEST_F(MadeUpTree, generatedMessagesCountToo) {
  write("gateway/store/rows.cpp", "#include \"interop/rows/v1/rows.pb.h\"\n");
  write("gateway/user/e2e.cpp", "#include \"whatsapp/e2e.pb.h\"\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("of proto_rows"), HasSubstr("of proto_whatsapp")));
}

TEST_F(MadeUpTree, filesBesideTheRoomsAreHeldToTheirRows) {
  write("gateway/settings_more.cpp", "#include \"store/store.h\"\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("settings may not include store/store.h")));
}

TEST_F(MadeUpTree, anAdapterSeesNeitherTheRoomsAboveNorAnotherAdapter) {
  write("adapters/native/x.cpp", "#include \"user/user.h\"\n#include \"webhook/webhook.h\"\n");
  write("adapters/webhook/webhook.h", "#pragma once\n");
  write("adapters/webhook/README.md", "# webhook\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("x.cpp:1: adapters/* may not include user/user.h"),
                                      HasSubstr("x.cpp:2: adapters/* may not include webhook")));
}

TEST_F(MadeUpTree, anAdapterWithARowOfItsOwnIsUsableByThoseWhoNameIt) {
  replace_row("| beside | `adapters/*`",
              "| | `adapters/native` | adapter | ours |\n"
              "| | `api` | adapters/native | gRPC |\n| beside | `adapters/*`");
  write("gateway/api/README.md", "# The door\n");
  write("gateway/api/CMakeLists.txt", "gw_room(api DEPENDS adapter_native)\n");
  write("gateway/api/api.cpp", "#include \"adapters/native/native.h\"\n");
  EXPECT_THAT(problems(), IsEmpty());
  write("gateway/user/peek.cpp", "#include \"adapters/native/native.h\"\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("user may not include adapters/native/native.h")));
}

TEST_F(MadeUpTree, theFarSideSeesOnlyWhatItsRowNames) {
  write("tests/whatsapp_sim/log.cpp", "#include \"telemetry/telemetry.h\"\n");
  write("tests/whatsapp_sim/CMakeLists.txt", "target_link_libraries(x gw_crypto gw_store)\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("tests/whatsapp_sim may not use store"),
                                      HasSubstr("may not include telemetry/telemetry.h")));
}

TEST_F(MadeUpTree, nothingInGatewayKnowsOfTheTests) {
  write("gateway/user/peek.cpp", "#include \"whatsapp_sim/main.cpp\"\n");
  write("gateway/store/hint.cpp", "// the Simulator likes this\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("hint.cpp: mentions 'Simulator'"),
                                      HasSubstr("user may not include whatsapp_sim/main.cpp"),
                                      HasSubstr("peek.cpp: mentions 'whatsapp_sim'")));
}

TEST_F(MadeUpTree, cmakeAndTheTableAgree) {
  write("gateway/store/CMakeLists.txt", "gw_room(store DEPENDS base LIBS crypto)\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("gateway/store/CMakeLists.txt: DEPENDS nothing, "
                                                "but the row in gateway/README.md says crypto")));
}

TEST_F(MadeUpTree, aCycleInTheTableIsFound) {
  replace_row("| `store` | crypto |", "| `store` | crypto user |");
  write("gateway/store/CMakeLists.txt", "gw_room(store DEPENDS crypto user)\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("row store: it may use only rooms of rows above")));
}

TEST_F(MadeUpTree, aCycleOfIncludesIsFound) {
  write("gateway/user/a.h", "#include \"b.h\"\n");
  write("gateway/user/b.h", "#include \"user/a.h\"\n");
  EXPECT_THAT(problems(), ElementsAre("include cycle: gateway/user/a.h -> gateway/user/b.h -> "
                                      "gateway/user/a.h"));
}

TEST_F(MadeUpTree, pureRoomsUsePureRoomsAndFloorsStandInOrder) {
  replace_row("| `crypto` (pure) | base |", "| `crypto` (pure) | telemetry |");
  replace_row("| doors | `adapter`", "| protocol | `adapter`");
  write("gateway/crypto/CMakeLists.txt", "gw_room(crypto DEPENDS telemetry)\n");
  EXPECT_THAT(problems(),
              ElementsAre(HasSubstr("row crypto: a pure room may not use telemetry"),
                          HasSubstr("row adapter: floor protocol comes before motion")));
}

TEST_F(MadeUpTree, roomsAndRowsMatch) {
  replace_row("| doors | `adapter` | base | the seam |\n",
              "| doors | `adapter` | base | the seam |\n| | `ghost` | base | nothing |\n");
  write("gateway/attic/attic.h", "#pragma once\n");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("no row for the room attic"),
                                      HasSubstr("gateway/attic/README.md: missing or empty"),
                                      HasSubstr("row ghost: there is no such room")));
}

TEST_F(MadeUpTree, longFilesAreFound) {
  write("tests/long.mjs", std::string(601, '\n'));
  write("bench/run", "#!/bin/bash\n" + std::string(601, '\n'));
  write("gateway/base/table.inc", std::string(5000, '\n'));
  write("tests/package-lock.json", std::string(5000, '\n'));
  write("tests/node_modules/x.js", std::string(5000, '\n'));
  write("gateway/user/README.md", std::string(81, '\n'));
  EXPECT_THAT(problems(), ElementsAre("bench/run: 602 lines, more than 600",
                                      "tests/long.mjs: 601 lines, more than 600",
                                      "gateway/user/README.md: 81 lines, more than 80"));
}

TEST_F(MadeUpTree, noTableIsAProblem) {
  write("gateway/README.md", "# Rooms\n");
  EXPECT_FALSE(problems().empty());
}

}  // namespace
}  // namespace gw::floors
