#pragma once

// The control API: makes accounts, lets phones write, breaks things, tells what was seen.

#include <functional>
#include <initializer_list>

#include "whatsapp_sim/control/http_server.h"
#include "whatsapp_sim/phone.h"

namespace gw::sim {

struct World;

class Control {
 public:
  // `changed` runs after what is kept in the state folder changed.
  Control(World& world, std::function<void()> changed)
      : world_(world), changed_(std::move(changed)) {}
  void handle(const HttpRequest& request, HttpAnswer answer);

 private:
  struct Route {
    std::string_view method, pattern;  // "phones/*/inbox"
    void (Control::*run)(const HttpRequest&, const HttpAnswer&);
  };
  static std::initializer_list<Route> routes();

  // accounts.cpp
  void add_accounts(const HttpRequest&, const HttpAnswer&);
  void list_accounts(const HttpRequest&, const HttpAnswer&);
  void change_account(const HttpRequest&, const HttpAnswer&);
  void add_device(const HttpRequest&, const HttpAnswer&);
  void spend(const HttpRequest&, const HttpAnswer&);
  void add_provider(const HttpRequest&, const HttpAnswer&);
  void list_interop(const HttpRequest&, const HttpAnswer&);
  // phones.cpp
  void inbox(const HttpRequest&, const HttpAnswer&);
  void outbox(const HttpRequest&, const HttpAnswer&);
  void send(const HttpRequest&, const HttpAnswer&);
  void read(const HttpRequest&, const HttpAnswer&);
  void reinstall(const HttpRequest&, const HttpAnswer&);
  void skip(const HttpRequest&, const HttpAnswer&);
  void unbind(const HttpRequest&, const HttpAnswer&);
  void start_flood(const HttpRequest&, const HttpAnswer&);
  void flood_state(const HttpRequest&, const HttpAnswer&);
  // trouble.cpp
  void add_fault(const HttpRequest&, const HttpAnswer&);
  void list_faults(const HttpRequest&, const HttpAnswer&);
  void remove_fault(const HttpRequest&, const HttpAnswer&);
  void clear_faults(const HttpRequest&, const HttpAnswer&);
  void pause(const HttpRequest&, const HttpAnswer&);
  void resume(const HttpRequest&, const HttpAnswer&);
  void violations(const HttpRequest&, const HttpAnswer&);
  void clear_violations(const HttpRequest&, const HttpAnswer&);
  void stats(const HttpRequest&, const HttpAnswer&);
  void settings(const HttpRequest&, const HttpAnswer&);
  // raw.cpp
  void send_raw(const HttpRequest&, const HttpAnswer&);

  Account* account_of(const HttpRequest& request, const HttpAnswer& answer);
  Phone* phone_of(const HttpRequest& request, const HttpAnswer& answer);
  const Account* recipient(const Json& to) const;

  World& world_;
  std::function<void()> changed_;
};

// {"error": text} with that status.
void refuse(const HttpAnswer& answer, unsigned status, std::string text);
// A member of the right type, or the default.
std::string text_in(const Json& object, const char* key, std::string otherwise = {});
bool flag_in(const Json& object, const char* key, bool otherwise);
std::int64_t number_in(const Json& object, const char* key, std::int64_t otherwise);
// Makes the account, and its simulated phone. The account's JSON, or the reason why not.
Result<Json> make_account(World& world, const Json& wanted);
Json account_json(const Account& account);
Result<void> make_provider(World& world, const Json& wanted);

}  // namespace gw::sim
